//! The engine on a small package: what happens when readers, prompts or the engine itself fail.
#![expect(
    clippy::unwrap_in_result,
    reason = "set-up of tests, beside the result under test"
)]

use std::path::{Path, PathBuf};

use airunner_core::ModelName;
use airunner_core::generate::{FinishReason, GenerateRequest, Input, Sampling};
use airunner_core::model::CacheType;
use tokio::sync::mpsc::Receiver;

use super::*;
use crate::llm::ComputeError;
use crate::llm::kv;
use crate::llm::tensor::Logits;
use crate::llm::text::TextModel;
use crate::package::Package;
use crate::{Kernels, LoadOptions};

mod mixed;
mod sampling;

/// A short answer fits, so that only a long one can be left unread for long.
const QUICK: Patience = Patience {
    events: 16,
    time: Duration::from_millis(300),
    last: Duration::from_secs(3600),
};
const ENDLESS: Patience = Patience {
    events: 4,
    time: Duration::from_secs(3600),
    last: Duration::from_secs(3600),
};

struct Bench {
    engine: Engine,
    text: TextModel,
}

/// As for the tests of whole packages: `ORT_DYLIB_PATH`, or what `cargo xtask setup` staged.
#[expect(clippy::disallowed_methods, reason = "tests have no config module")]
fn library() -> PathBuf {
    let named = std::env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let staged = || {
        let executable = std::env::current_exe().ok()?;
        let target = executable.ancestors().nth(3)?.join("lib/airunner");
        let names = ["libonnxruntime.so.1", "libonnxruntime.dylib", "onnxruntime.dll"];
        names
            .iter()
            .map(|name| target.join(name))
            .find(|path| path.is_file())
    };
    named
        .or_else(staged)
        .expect("no ONNX Runtime library: run `cargo xtask setup`, or set ORT_DYLIB_PATH")
}

fn open(package: &str) -> (Package, Model, TextModel) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/testdata/parity")
        .join(package);
    let options = LoadOptions {
        directory,
        onnxruntime_library: library(),
        threads: Some(1),
        allow_spinning: false,
        context_length: None,
        parallel_requests: 2,
        queue_length: 2,
        prompt_chunk: 256,
        variant: None,
        prepacked_directory: None,
        kernels: Kernels::Auto,
        cache_type: CacheType::Auto,
        cache_on_disk: None,
    };
    let package = Package::open(&options.directory).unwrap();
    let model = Model::open(&package, &options).unwrap();
    let text = TextModel::load(package.files().root(), &[]).unwrap();
    (package, model, text)
}

fn bench_with(patience: Patience, cache: impl FnOnce(&Package, &Model) -> Box<dyn Cache>) -> Bench {
    let (package, model, text) = open("llama-gqa");
    let cache = cache(&package, &model);
    let options = EngineOptions {
        parallel_requests: 2,
        queue_length: 2,
        prompt_chunk: 256,
    };
    Bench {
        engine: Engine::start_patient(model, cache, options, patience).unwrap(),
        text,
    }
}

fn bench(patience: Patience) -> Bench {
    bench_with(patience, |package, model| {
        let graph = package.graph();
        kv::for_model(model, graph.attention(), graph.inputs.len(), 2, 256, 0)
    })
}

impl Bench {
    /// A greedy request that nothing but `limit` ends.
    fn submit(&self, prompt: &str, limit: usize) -> Result<Receiver<Result<GenerateEvent, Fault>>, Fault> {
        let ticket = self.engine.ticket()?;
        let request = GenerateRequest::new(ModelName::new("x").unwrap(), Input::Raw(prompt.to_owned()));
        let prompt = self.text.prompt(&request.input, 256).unwrap();
        let mut sampling = Sampling {
            temperature: Some(0.0),
            ..Sampling::default()
        };
        sampling
            .logit_bias
            .extend(self.text.eos().as_slice().iter().map(|&end| (end, -100.0)));
        let work = Work {
            sampler: Sampler::new(&sampling, Some(0), 1, &prompt.tokens),
            output: self.text.output(&request, &prompt, 1),
            prompt: prompt.tokens,
            constraint: None,
            limit,
            client: request.client,
            is_private: false,
            priority: request.priority,
            arrived: Instant::now(),
        };
        self.engine.submit(ticket, work)
    }
}

fn read(mut receiver: Receiver<Result<GenerateEvent, Fault>>) -> Vec<Result<GenerateEvent, Fault>> {
    std::iter::from_fn(|| receiver.blocking_recv()).collect()
}

fn finish_reason(events: &[Result<GenerateEvent, Fault>]) -> Option<FinishReason> {
    match events.last() {
        Some(Ok(GenerateEvent::Done(done))) => Some(done.finish_reason),
        Some(_) | None => None,
    }
}

#[test]
fn a_reader_that_rests_pauses_only_its_own_request() {
    let bench = bench(ENDLESS);
    let resting = bench.submit("the", 60).unwrap();
    let awake = read(bench.submit("a fox", 60).unwrap());
    assert_eq!(finish_reason(&awake), Some(FinishReason::Length));
    let late = read(resting);
    assert_eq!(
        finish_reason(&late),
        Some(FinishReason::Length),
        "everything is there in the end"
    );
    let alone = read(bench.submit("the", 60).unwrap());
    let texts = |events: &[Result<GenerateEvent, Fault>]| -> Vec<GenerateEvent> {
        let is_text = |event: &&Result<GenerateEvent, Fault>| matches!(event, Ok(GenerateEvent::Text(_)));
        events
            .iter()
            .filter(is_text)
            .cloned()
            .map(Result::unwrap)
            .collect()
    };
    assert_eq!(
        texts(&late),
        texts(&alone),
        "nothing is lost or changed by the pause"
    );
}

#[test]
fn a_reader_that_never_reads_is_given_up_and_told_so() {
    let bench = bench(QUICK);
    let stalled = bench.submit("the", 200).unwrap();
    // Both places of the batch and of the queue are free again only after the stalled one is out.
    let others: Vec<_> = (0..3).map(|_| bench.submit("a fox", 3).unwrap()).collect();
    let readers: Vec<_> = others
        .into_iter()
        .map(|receiver| std::thread::spawn(|| read(receiver)))
        .collect();
    for reader in readers {
        assert_eq!(finish_reason(&reader.join().unwrap()), Some(FinishReason::Length));
    }
    while bench.engine.taken.load(std::sync::atomic::Ordering::Acquire) > 0 {
        std::thread::yield_now();
    }
    let events = read(stalled);
    let last = events.last().unwrap().clone();
    assert_eq!(last.unwrap_err().kind, ErrorKind::ClientStalled);
}

#[test]
fn a_dropped_reader_frees_its_place() {
    let bench = bench(ENDLESS);
    let mut first = bench.submit("the", 200).unwrap();
    let second = bench.submit("a fox", 200).unwrap();
    let third = bench.submit("a fox", 5).unwrap();
    first.blocking_recv().unwrap().unwrap();
    drop((first, second));
    assert_eq!(finish_reason(&read(third)), Some(FinishReason::Length));
    while bench.engine.taken.load(std::sync::atomic::Ordering::Acquire) > 0 {
        std::thread::yield_now();
    }
}

#[test]
fn more_than_the_queue_holds_is_refused() {
    let bench = bench(ENDLESS);
    let held: Vec<_> = (0..4).map(|_| bench.submit("the", 200).unwrap()).collect();
    let refused = bench.submit("the", 1).unwrap_err();
    assert_eq!(
        (refused.kind, refused.retry_after.is_some()),
        (ErrorKind::QueueFull, true)
    );
    for receiver in held {
        drop(receiver);
    }
}

#[test]
fn unloading_ends_every_request_with_a_reason() {
    let bench = bench(ENDLESS);
    let held: Vec<_> = (0..3).map(|_| bench.submit("the", 200).unwrap()).collect();
    // All have been taken over before the end when the last has been told its place.
    let mut held = held.into_iter().rev();
    let mut last = held.next().unwrap();
    last.blocking_recv().unwrap().unwrap();
    let readers: Vec<_> = held
        .map(|receiver| std::thread::spawn(|| read(receiver)))
        .collect();
    drop(bench);
    let ends = |events: Vec<Result<GenerateEvent, Fault>>| match events.last() {
        Some(Err(fault)) => fault.kind == ErrorKind::Cancelled,
        Some(Ok(GenerateEvent::Done(_))) => true,
        Some(Ok(_)) | None => false,
    };
    assert!(ends(read(last)));
    for reader in readers {
        assert!(ends(reader.join().unwrap()));
    }
}

/// Fails as no cache should.
struct Panics;

impl Cache for Panics {
    fn batch_limit(&self) -> usize {
        1
    }

    fn extend(&mut self, _: &mut Model, _: usize, _: &[u32]) -> Result<Logits, ComputeError> {
        panic!("a defect");
    }

    fn decode(&mut self, _: &mut Model, _: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        panic!("a defect");
    }

    fn truncate(&mut self, _: usize, _: usize) -> Result<(), ComputeError> {
        Ok(())
    }

    fn release(&mut self) {}

    fn copy(&mut self, _: usize, _: usize, _: usize) -> Result<(), ComputeError> {
        Ok(())
    }
}

#[test]
fn a_dying_engine_tells_every_reader() {
    let bench = bench_with(ENDLESS, |_, _| Box::new(Panics));
    let events = read(bench.submit("the", 3).unwrap());
    let fault = events.last().unwrap().clone().unwrap_err();
    assert_eq!(fault.kind, ErrorKind::Internal);
    assert!(fault.message.contains("died"), "{fault}");
    let later = loop {
        // The thread may still be on its way out.
        match bench.submit("the", 3) {
            Ok(receiver) => drop(read(receiver)),
            Err(fault) => break fault,
        }
    };
    assert_eq!(later.kind, ErrorKind::Internal);
}

#[test]
fn readers_who_do_not_read_hold_up_nobody_where_prompts_run_one_by_one() {
    let bench = bench(ENDLESS);
    let stalled: Vec<_> = (0..3).map(|_| bench.submit("the", 60).unwrap()).collect();
    let awake = read(bench.submit("a fox", 60).unwrap());
    assert_eq!(finish_reason(&awake), Some(FinishReason::Length));
    for receiver in stalled {
        assert_eq!(finish_reason(&read(receiver)), Some(FinishReason::Length));
    }
}
