//! Whatever comes from the wire, the answer is a fault that names the field, never a panic.

use airunner_core::catalog::CatalogEntry;
use airunner_core::download::{Download, PullEvent, PullRequest, VerifyEvent, VerifyRequest};
use airunner_core::event::WatchMessage;
use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::hardware::Hardware;
use airunner_core::memory::{
    BudgetChange, Estimate, EstimateRequest, Freed, MemoryBreakdown, Permission, PermissionRequest,
    ReserveRequest, Reserved,
};
use airunner_core::model::{
    ImportEvent, ImportRequest, LoadEvent, LoadRequest, Model, ModelDetails, WorkerLoad, WorkerLoadEvent,
};
use airunner_core::notification::{Notification, PresenterOrder, PresenterReport};
use airunner_core::status::DaemonStatus;
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_core::usage::Usage;
use airunner_core::{ErrorKind, Fault, KeepAlive};
use proptest::prelude::*;
use prost::Message as _;

use super::chat::MAX_MESSAGES;
use crate::{v1, worker_v1};

fn request() -> v1::GenerateRequest {
    v1::GenerateRequest {
        model: "tiny".into(),
        input: Some(v1::generate_request::Input::Conversation(v1::Conversation {
            messages: vec![v1::Message {
                role: "user".into(),
                content: "Hi".into(),
                ..Default::default()
            }],
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn conversation(change: impl FnOnce(&mut v1::Conversation)) -> v1::GenerateRequest {
    let mut request = request();
    let Some(v1::generate_request::Input::Conversation(conversation)) = &mut request.input else {
        unreachable!()
    };
    change(conversation);
    request
}

fn sampling(sampling: v1::Sampling) -> v1::GenerateRequest {
    v1::GenerateRequest {
        sampling: Some(sampling),
        ..request()
    }
}

#[test]
fn a_bad_request_is_refused_by_the_name_of_its_field() {
    let turn = v1::Message {
        role: "user".into(),
        ..Default::default()
    };
    let call = |json: &str| v1::ToolCall {
        name: "f".into(),
        arguments_json: json.into(),
        ..Default::default()
    };
    let tool = |name: &str, json: &str| v1::Tool {
        name: name.into(),
        parameters_json: json.into(),
        ..Default::default()
    };
    let cases = [
        (
            "input",
            v1::GenerateRequest {
                input: None,
                ..request()
            },
        ),
        (
            "not a model name",
            v1::GenerateRequest {
                model: "../etc".into(),
                ..request()
            },
        ),
        (
            "max_tokens",
            v1::GenerateRequest {
                max_tokens: Some(0),
                ..request()
            },
        ),
        (
            "stop",
            v1::GenerateRequest {
                stop: vec![String::new()],
                ..request()
            },
        ),
        (
            "top_logprobs",
            v1::GenerateRequest {
                top_logprobs: Some(u32::MAX),
                ..request()
            },
        ),
        (
            "keep_alive",
            v1::GenerateRequest {
                keep_alive: Some(v1::KeepAlive { policy: None }),
                ..request()
            },
        ),
        (
            "temperature",
            sampling(v1::Sampling {
                temperature: Some(f32::NAN),
                ..Default::default()
            }),
        ),
        (
            "top_p",
            sampling(v1::Sampling {
                top_p: Some(f32::INFINITY),
                ..Default::default()
            }),
        ),
        (
            "logit_bias",
            sampling(v1::Sampling {
                logit_bias: [(1, f32::NAN)].into(),
                ..Default::default()
            }),
        ),
        (
            "logit_bias",
            sampling(v1::Sampling {
                logit_bias: (0..2000).map(|id| (id, 0.0)).collect(),
                ..Default::default()
            }),
        ),
        ("prompt is empty", conversation(|c| c.messages.clear())),
        (
            "messages has",
            conversation(|c| c.messages = vec![turn.clone(); MAX_MESSAGES + 1]),
        ),
        ("messages[0].role", conversation(|c| c.messages[0].role.clear())),
        (
            "messages[0].role",
            conversation(|c| c.messages[0].role = "x".repeat(1000)),
        ),
        (
            "messages[0].tool_calls[1].arguments_json",
            conversation(|c| c.messages[0].tool_calls = vec![call("{}"), call("[]")]),
        ),
        (
            "messages[0].tool_calls has",
            conversation(|c| c.messages[0].tool_calls = vec![call(""); 1000]),
        ),
        ("tools[0].name", conversation(|c| c.tools = vec![tool("", "{}")])),
        (
            "tools[1].parameters_json",
            conversation(|c| c.tools = vec![tool("f", "{}"), tool("g", "{\"a\":")]),
        ),
        (
            "documents_json[0]",
            conversation(|c| c.documents_json = vec!["\"text\"".into()]),
        ),
        (
            "documents_json[0]",
            conversation(|c| c.documents_json = vec![String::new()]),
        ),
        (
            "template_variables_json",
            conversation(|c| c.template_variables_json = "[".repeat(100_000)),
        ),
    ];
    for (field, wire) in cases {
        let fault = GenerateRequest::try_from(wire).unwrap_err();
        assert!(fault.message.contains(field), "{field}: {fault}");
        assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{field}");
    }
    assert!(GenerateRequest::try_from(request()).is_ok());
}

#[test]
fn other_bad_requests_are_refused_too() {
    let forever = v1::KeepAlive {
        policy: Some(v1::keep_alive::Policy::Forever(false)),
    };
    let import = |directory: &str| v1::ImportModelRequest {
        directory: directory.into(),
        name: "tiny".into(),
        link: false,
    };
    let load = |change: fn(&mut v1::LoadModelRequest)| {
        let mut wire = v1::LoadModelRequest {
            name: "tiny".into(),
            ..Default::default()
        };
        change(&mut wire);
        LoadRequest::try_from(wire).err()
    };
    let faults: [Option<Fault>; 10] = [
        KeepAlive::try_from(forever).err(),
        load(|wire| wire.level = "3bit".into()),
        load(|wire| wire.context_length = Some(0)),
        load(|wire| wire.priority = 9),
        ImportRequest::try_from(import("")).err(),
        ImportRequest::try_from(import("relative/path")).err(),
        ImportRequest::try_from(import("/a\0b")).err(),
        ImportRequest::try_from(import(&"x".repeat(5000))).err(),
        TokenizeRequest::try_from(v1::TokenizeRequest::default()).err(),
        WorkerLoad::try_from(worker_v1::LoadRequest {
            directory: "/x".into(),
            ..Default::default()
        })
        .err(),
    ];
    for fault in faults {
        assert_eq!(fault.unwrap().kind, ErrorKind::InvalidArgument);
    }
}

#[test]
fn bad_requests_of_memory_and_hub_are_refused_by_the_name_of_their_field() {
    let pull = |change: fn(&mut v1::PullRequest)| {
        let mut wire = v1::PullRequest {
            source: "owner/name".into(),
            ..Default::default()
        };
        change(&mut wire);
        PullRequest::try_from(wire).err()
    };
    let budget = |device: &str, budget: &str| {
        let (device, budget) = (device.into(), budget.into());
        BudgetChange::try_from(v1::SetBudgetRequest { device, budget }).err()
    };
    let reserve = |category: &str, device: &str| {
        let (category, device) = (category.into(), device.into());
        let bytes = u64::MAX;
        ReserveRequest::try_from(v1::ReserveRequest {
            category,
            device,
            bytes,
        })
        .err()
    };
    let may = |kind: &str, model: &str| {
        let (kind, model) = (kind.into(), Some(model.into()));
        PermissionRequest::try_from(v1::CanPerformRequest { kind, model }).err()
    };
    let estimate = |context_length, level: &str| {
        EstimateRequest::try_from(v1::EstimateModelRequest {
            name: "tiny".into(),
            context_length,
            level: level.into(),
        })
        .err()
    };
    let query = v1::ListCatalogRequest {
        query: "x".repeat(300),
    };
    for (field, fault) in [
        ("source", pull(|wire| wire.source.clear())),
        ("source", pull(|wire| wire.source = "x".repeat(10_000))),
        ("source", pull(|wire| wire.source = "a\r\nHost: b".into())),
        ("revision", pull(|wire| wire.revision = "a\0".into())),
        ("model name", pull(|wire| wire.name = "../../x".into())),
        ("level", pull(|wire| wire.level = "3bit".into())),
        ("device", budget("cuda:0", "1GiB")),
        ("budget", budget("cpu", "200%")),
        ("budget", budget("cpu", "")),
        ("budget", budget("gpu", &"9".repeat(100))),
        ("category", reserve("", "cpu")),
        ("device", reserve("canvas_history", "cuda:99999999999")),
        ("kind", may("oracle", "tiny")),
        ("model name", may("llm", "")),
        ("context_length", estimate(Some(0), "")),
        ("level", estimate(None, "FP16")),
        ("query", String::try_from(query).err()),
    ] {
        let fault = fault.unwrap();
        assert!(fault.message.contains(field), "{field}: {fault}");
        assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{field}");
    }
}

#[test]
fn an_answer_of_another_protocol_is_not_the_callers_mistake() {
    let progress = |stage: &str, fraction| {
        v1::generate_response::Event::Loading(v1::LoadProgress {
            stage: stage.into(),
            fraction,
        })
    };
    let done = |reason: &str, ms| {
        v1::generate_response::Event::Done(v1::Done {
            finish_reason: reason.into(),
            usage: Some(v1::Usage::default()),
            timings: Some(v1::Timings {
                decode_ms: ms,
                ..Default::default()
            }),
            stop_sequence: None,
        })
    };
    let events = [
        None,
        Some(progress("dancing", 0.5)),
        Some(progress("weights", f32::NAN)),
        Some(progress("weights", 7.0)),
        Some(done("bored", 1.0)),
        Some(done("stop", f64::NAN)),
        Some(done("stop", -1.0)),
        Some(done("stop", 1e300)),
        Some(v1::generate_response::Event::Done(v1::Done::default())),
    ];
    for event in events {
        let fault = GenerateEvent::try_from(v1::GenerateResponse { event: event.clone() }).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::Internal, "{event:?}");
    }
    let good = v1::Model {
        name: "tiny".into(),
        kind: "llm".into(),
        state: 1,
        source: "builtin".into(),
        ..Default::default()
    };
    assert!(Model::try_from(good.clone()).is_ok());
    let late = v1::Instance {
        expires_at_ms: Some(u64::MAX),
        ..Default::default()
    };
    for (field, wire) in [
        (
            "model.name",
            v1::Model {
                name: "..".into(),
                ..good.clone()
            },
        ),
        (
            "model.kind",
            v1::Model {
                kind: "oracle".into(),
                ..good.clone()
            },
        ),
        (
            "model.state",
            v1::Model {
                state: 0,
                ..good.clone()
            },
        ),
        (
            "model.state",
            v1::Model {
                state: 99,
                ..good.clone()
            },
        ),
        (
            "model.source",
            v1::Model {
                source: "nowhere".into(),
                ..good.clone()
            },
        ),
        (
            "model.last_unload_reason",
            v1::Model {
                last_unload_reason: "spite".into(),
                ..good.clone()
            },
        ),
    ] {
        let fault = Model::try_from(wire).unwrap_err();
        assert!(
            fault.message.contains(field) && fault.kind == ErrorKind::Internal,
            "{fault}"
        );
    }
    // A time that the clock of this system cannot hold is a fault there and a time elsewhere.
    let _ = Model::try_from(v1::Model {
        instance: Some(late),
        ..good
    });
}

/// Feeds bytes to every conversion from the wire.
fn feed(bytes: &[u8]) {
    macro_rules! all {
        ($($wire:ty => $domain:ty),* $(,)?) => {
            $(if let Ok(wire) = <$wire>::decode(bytes) {
                let _ = <$domain>::try_from(wire);
            })*
        };
    }
    all! {
        v1::GenerateRequest => GenerateRequest,
        v1::GenerateResponse => GenerateEvent,
        v1::TokenizeRequest => TokenizeRequest,
        v1::DetokenizeRequest => DetokenizeRequest,
        v1::StatusResponse => DaemonStatus,
        v1::WatchResponse => WatchMessage,
        v1::ShowModelResponse => ModelDetails,
        v1::ImportModelRequest => ImportRequest,
        v1::ImportModelResponse => ImportEvent,
        v1::LoadModelRequest => LoadRequest,
        v1::HardwareProfile => Hardware,
        v1::MemoryResponse => Vec<MemoryBreakdown>,
        v1::SetBudgetRequest => BudgetChange,
        v1::FreeResponse => Freed,
        v1::ReserveRequest => ReserveRequest,
        v1::ReserveResponse => Reserved,
        v1::EstimateModelRequest => EstimateRequest,
        v1::EstimateModelResponse => Estimate,
        v1::CanPerformRequest => PermissionRequest,
        v1::CanPerformResponse => Permission,
        v1::UsageResponse => Vec<Usage>,
        v1::ListCatalogRequest => String,
        v1::ListCatalogResponse => Vec<CatalogEntry>,
        v1::PullRequest => PullRequest,
        v1::PullResponse => PullEvent,
        v1::ListDownloadsResponse => Vec<Download>,
        v1::VerifyModelRequest => VerifyRequest,
        v1::VerifyModelResponse => VerifyEvent,
        v1::LoadModelResponse => LoadEvent,
        v1::ListNotificationsResponse => Vec<Notification>,
        v1::PresentRequest => PresenterReport,
        v1::PresentResponse => PresenterOrder,
        worker_v1::LoadRequest => WorkerLoad,
        worker_v1::LoadResponse => WorkerLoadEvent,
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>) {
        feed(&bytes);
    }

    /// As below, of the answers about memory and the hub.
    #[test]
    fn damaged_answers_never_panic(
        hardware in super::samples::hardware(),
        entry in super::samples::catalog_entry(),
        download in super::samples::download(),
        usage in super::samples::usage(),
        notification in super::samples::notification(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        for mut bytes in [
            v1::HardwareProfile::from(hardware).encode_to_vec(),
            v1::ListCatalogResponse::from(vec![entry]).encode_to_vec(),
            v1::ListDownloadsResponse::from(vec![download]).encode_to_vec(),
            v1::UsageResponse::from(vec![usage]).encode_to_vec(),
            v1::ListNotificationsResponse::from(vec![notification]).encode_to_vec(),
        ] {
            let place = at.index(bytes.len().max(1));
            if let Some(there) = bytes.get_mut(place) {
                *there = byte;
            }
            feed(&bytes);
            feed(&bytes[..place.min(bytes.len())]);
        }
    }

    /// Bytes that begin as a real message get further in.
    #[test]
    fn damaged_messages_never_panic(
        request in super::samples::generate_request(),
        event in super::samples::generate_event(),
        at: prop::sample::Index,
        byte: u8,
    ) {
        let request = v1::GenerateRequest::from(request).encode_to_vec();
        let event = v1::GenerateResponse::from(event).encode_to_vec();
        for mut bytes in [request, event] {
            let place = at.index(bytes.len().max(1));
            if let Some(there) = bytes.get_mut(place) {
                *there = byte;
            }
            feed(&bytes);
            feed(&bytes[..place.min(bytes.len())]);
        }
    }
}
