//! The fake model through the interface that its users see.
#![expect(
    clippy::unwrap_in_result,
    reason = "set-up of tests, beside the result under test"
)]

use std::fs;
use std::time::Instant;

use airunner_core::generate::{FinishReason, GenerateEvent, GenerateRequest, Input};
use airunner_core::memory::Quantization;
use airunner_core::model::{CacheType, LoadProgress, LoadStage, Queued};
use airunner_core::{ErrorKind, Fault, ModelName};

use crate::{Kernels, LlmRuntime, LoadOptions};

fn options(directory: &std::path::Path) -> LoadOptions {
    LoadOptions {
        directory: directory.to_owned(),
        onnxruntime_library: "none".into(),
        threads: None,
        allow_spinning: false,
        context_length: None,
        parallel_requests: 1,
        queue_length: 1,
        prompt_chunk: 256,
        variant: None,
        prepacked_directory: None,
        kernels: Kernels::Auto,
        cache_type: CacheType::Auto,
        cache_on_disk: None,
    }
}

fn load(script: &str, stages: &mut Vec<LoadStage>) -> Result<Box<dyn LlmRuntime>, Fault> {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("fake-model.json"), script).unwrap();
    crate::load(&options(home.path()), &mut |progress: LoadProgress| {
        stages.push(progress.stage)
    })
}

fn request() -> GenerateRequest {
    GenerateRequest::new(ModelName::new("fake").unwrap(), Input::Raw("one two".to_owned()))
}

fn text_of(events: &[GenerateEvent]) -> String {
    let text = events.iter().filter_map(|event| {
        if let GenerateEvent::Text(delta) = event {
            Some(&*delta.text)
        } else {
            None
        }
    });
    text.collect()
}

#[test]
fn streams_and_reports() {
    let mut stages = Vec::new();
    let model = load(
        r#"{"load_ms_steps": [1, 1], "tokens": ["a", "b"], "context_length": 64}"#,
        &mut stages,
    )
    .unwrap();
    assert_eq!(
        stages,
        [
            LoadStage::Checking,
            LoadStage::Weights,
            LoadStage::Weights,
            LoadStage::Ready
        ]
    );
    assert_eq!(model.loaded().context_length, 64);
    let mut receiver = model.generate(request(), Instant::now()).unwrap();
    let mut events = Vec::new();
    while let Some(event) = receiver.blocking_recv() {
        events.push(event.unwrap());
    }
    assert_eq!(text_of(&events), "ab");
    let Some(GenerateEvent::Done(done)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(done.finish_reason, FinishReason::Stop);
    assert_eq!((done.usage.prompt_tokens, done.usage.completion_tokens), (2, 2));
}

#[test]
fn a_full_queue_refuses_and_a_dropped_reader_makes_room() {
    let model = load(r#"{"hang_on": "generate:0"}"#, &mut Vec::new()).unwrap();
    let first = model.generate(request(), Instant::now()).unwrap();
    let mut second = model.generate(request(), Instant::now()).unwrap();
    assert_eq!(
        second.blocking_recv().unwrap().unwrap(),
        GenerateEvent::Queued(Queued::default())
    );
    let refused = model.generate(request(), Instant::now()).unwrap_err();
    assert_eq!(
        (refused.kind, refused.retry_after.is_some()),
        (ErrorKind::QueueFull, true)
    );
    drop(first);
    let next = second.blocking_recv().unwrap().unwrap();
    assert!(matches!(next, GenerateEvent::Prompt { .. }), "{next:?}");
}

#[test]
fn an_answer_goes_on_when_its_gate_opens() {
    let home = tempfile::tempdir().unwrap();
    let gate = home.path().join("gate");
    let script = serde_json::json!({"tokens": ["a", "b"],
        "waits_for": {"place": "generate:1", "file": gate}});
    let model = load(&script.to_string(), &mut Vec::new()).unwrap();
    let mut receiver = model.generate(request(), Instant::now()).unwrap();
    let mut events = Vec::new();
    while text_of(&events) != "a" {
        events.push(receiver.blocking_recv().unwrap().unwrap());
    }
    assert!(receiver.try_recv().is_err(), "it waits");
    fs::write(&gate, "").unwrap();
    while let Some(event) = receiver.blocking_recv() {
        events.push(event.unwrap());
    }
    assert_eq!(text_of(&events), "ab");
}

#[test]
fn fails_as_told() {
    let fault = load(
        r#"{"fail": {"load": "broken", "kind": "out_of_memory"}}"#,
        &mut Vec::new(),
    )
    .err()
    .unwrap();
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (ErrorKind::OutOfMemory, "broken")
    );
    let fault = load(r#"{"unheard_of": 1}"#, &mut Vec::new()).err().unwrap();
    assert_eq!(fault.kind, ErrorKind::ModelInvalid);
    let model = load(r#"{"nan": true}"#, &mut Vec::new()).unwrap();
    let mut receiver = model.generate(request(), Instant::now()).unwrap();
    let mut last = receiver.blocking_recv();
    while let Some(Ok(_)) = last {
        last = receiver.blocking_recv();
    }
    assert_eq!(last.unwrap().unwrap_err().kind, ErrorKind::ModelFaulty);
}

#[test]
fn takes_what_its_variant_says_and_estimates_the_same() {
    let home = tempfile::tempdir().unwrap();
    let script = r#"{"variants": [
        {"file": "a.onnx", "level": "4bit", "weights_bytes": 1000, "cache_bytes_per_token": 2},
        {"file": "b.onnx", "level": "8bit", "weights_bytes": 2000, "activation_bytes": 50}],
        "out_of_memory_above": 1500, "context_length": 100}"#;
    fs::write(home.path().join("fake-model.json"), script).unwrap();
    let with = |variant: Option<&str>| LoadOptions {
        variant: variant.map(str::to_owned),
        ..options(home.path())
    };
    let load = |variant| crate::load(&with(variant), &mut |_| {});
    let first = load(None).unwrap();
    assert_eq!(
        (first.loaded().variant.as_str(), first.loaded().level),
        ("a.onnx", Some(Quantization::Int4))
    );
    first.trim().unwrap();
    assert_eq!(load(Some("b.onnx")).err().unwrap().kind, ErrorKind::OutOfMemory);
    assert_eq!(
        load(Some("c.onnx")).err().unwrap().kind,
        ErrorKind::InvalidArgument
    );
    let estimate =
        crate::package::estimate(home.path(), &crate::package::EstimateOptions::default()).unwrap();
    let footprint = estimate.variants[1].footprint(100);
    assert_eq!((footprint.weights_bytes, footprint.activation_bytes), (2000, 50));
    assert_eq!(estimate.variants[0].footprint(100).cache_bytes, 200);
}

#[test]
fn an_estimate_can_be_wrong_on_purpose() {
    let home = tempfile::tempdir().unwrap();
    fs::write(
        home.path().join("fake-model.json"),
        r#"{"memory_bytes": 9, "estimate_bytes": 5}"#,
    )
    .unwrap();
    let estimate =
        crate::package::estimate(home.path(), &crate::package::EstimateOptions::default()).unwrap();
    assert_eq!(estimate.variants[0].footprint(4096).total(), 5);
}
