//! Values for the tests of the views.

use std::time::{Duration, SystemTime};

use airunner_core::ModelName;
use airunner_core::lifecycle::StateName;
use airunner_core::memory::Quantization;
use airunner_core::model::{Instance, Model, ModelKind, Source};
use serde::Serialize;
use serde_json::Value;

pub(super) fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

pub(super) fn model(state: StateName, instance: Option<Instance>) -> Model {
    Model {
        name: name("tiny"),
        kind: ModelKind::Llm,
        state,
        size_bytes: 1 << 20,
        source: Source::Import("tiny".into()),
        instance,
        last_unload_reason: None,
        waiting_requests: 0,
    }
}

pub(super) fn loaded() -> Model {
    let instance = Instance {
        pid: 7,
        device: "cpu".into(),
        memory_bytes: 5 << 20,
        context_length: 2048,
        expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(300)),
        variant: "onnx/model_q4.onnx".into(),
        estimated_bytes: 6 << 20,
        loaded_for: "request".into(),
        level: Some(Quantization::Int4),
        cache_type: "f16".into(),
        threads: 4,
        ..Instance::default()
    };
    model(StateName::Loaded, Some(instance))
}

pub(super) fn value(view: &impl Serialize) -> Value {
    serde_json::to_value(view).unwrap()
}
