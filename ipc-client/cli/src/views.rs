//! Domain values as the JSON of the contract for scripts, and as tables for people.

use std::time::SystemTime;

use airunner_core::generate::{Timings, Usage};
use airunner_core::lifecycle::StateName;
use airunner_core::model::{Instance, Model, ModelDetails};
use airunner_core::status::DaemonStatus;
use airunner_ipc_client::CalledTool;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner models`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelRow {
    name: String,
    kind: &'static str,
    state: &'static str,
    size_bytes: u64,
    source: String,
}

impl From<&Model> for ModelRow {
    fn from(model: &Model) -> Self {
        Self {
            name: model.name.to_string(),
            kind: model.kind.as_str(),
            state: model.state.as_str(),
            size_bytes: model.size_bytes,
            source: model.source.to_string(),
        }
    }
}

pub(crate) fn model_rows(models: &[Model]) -> Vec<ModelRow> {
    models.iter().map(Into::into).collect()
}

pub(crate) fn models_table(models: &[Model]) -> Table {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("KIND", Align::Left),
        ("STATE", Align::Left),
        ("SIZE", Align::Right),
        ("SOURCE", Align::Left),
    ]);
    for model in models {
        table.row([
            model.name.to_string(),
            model.kind.to_string(),
            model.state.to_string(),
            units::size(model.size_bytes),
            model.source.to_string(),
        ]);
    }
    table
}

/// A row of `airunner ps`.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessRow {
    model: String,
    state: &'static str,
    pid: Option<u32>,
    device: Option<String>,
    memory_bytes: u64,
    context_length: u32,
    active_requests: u32,
    expires_at: Option<String>,
}

impl From<&Model> for ProcessRow {
    fn from(model: &Model) -> Self {
        let instance = model.instance.clone().unwrap_or_default();
        Self {
            model: model.name.to_string(),
            state: model.state.as_str(),
            pid: (instance.pid != 0).then_some(instance.pid),
            device: (!instance.device.is_empty()).then_some(instance.device),
            memory_bytes: instance.memory_bytes,
            context_length: instance.context_length,
            active_requests: instance.active_requests,
            expires_at: instance.expires_at.and_then(units::timestamp),
        }
    }
}

fn in_memory(models: &[Model]) -> impl Iterator<Item = &Model> {
    models.iter().filter(|model| model.state != StateName::Unloaded)
}

pub(crate) fn process_rows(models: &[Model]) -> Vec<ProcessRow> {
    in_memory(models).map(Into::into).collect()
}

pub(crate) fn processes_table(models: &[Model], now: SystemTime) -> Table {
    let mut table = Table::new(&[
        ("MODEL", Align::Left),
        ("STATE", Align::Left),
        ("PID", Align::Right),
        ("DEVICE", Align::Left),
        ("MEMORY", Align::Right),
        ("CONTEXT", Align::Right),
        ("ACTIVE", Align::Right),
        ("EXPIRES", Align::Left),
    ]);
    for model in in_memory(models) {
        let instance = model.instance.clone().unwrap_or_default();
        let or_dash = |number: u32| {
            if number == 0 {
                "-".to_owned()
            } else {
                number.to_string()
            }
        };
        table.row([
            model.name.to_string(),
            model.state.to_string(),
            or_dash(instance.pid),
            if instance.device.is_empty() {
                "-".to_owned()
            } else {
                instance.device.clone()
            },
            units::size(instance.memory_bytes),
            or_dash(instance.context_length),
            instance.active_requests.to_string(),
            expires(model.state, &instance, now),
        ]);
    }
    table
}

fn expires(state: StateName, instance: &Instance, now: SystemTime) -> String {
    match (state, instance.expires_at) {
        (StateName::Loading, _) => {
            let percent = instance
                .progress
                .map_or(0.0, |progress| progress.fraction * 100.0);
            format!("loading, {percent:.0}%")
        }
        (_, Some(moment)) => units::until(moment, now),
        (StateName::Loaded, None) => "never".to_owned(),
        (StateName::Busy | StateName::Unloading | StateName::Unloaded, None) => "-".to_owned(),
    }
}

/// `airunner status`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    running: bool,
    pid: Option<u32>,
    version: Option<String>,
    protocol: Option<u32>,
    socket: String,
    uptime_seconds: Option<u64>,
    memory_bytes: Option<u64>,
    models: Vec<ProcessRow>,
}

impl StatusView {
    pub(crate) fn running(status: &DaemonStatus) -> Self {
        Self {
            running: true,
            pid: Some(status.pid),
            version: Some(status.daemon_version.clone()),
            protocol: Some(status.protocol_version),
            socket: status.socket.clone(),
            uptime_seconds: Some(status.uptime.as_secs()),
            memory_bytes: Some(status.memory_bytes),
            models: process_rows(&status.models),
        }
    }

    pub(crate) const fn stopped(socket: String) -> Self {
        Self {
            running: false,
            pid: None,
            version: None,
            protocol: None,
            socket,
            uptime_seconds: None,
            memory_bytes: None,
            models: Vec::new(),
        }
    }
}

/// `airunner models show`.
#[derive(Debug, Serialize)]
pub(crate) struct DetailsView<'a> {
    #[serde(flatten)]
    model: ModelRow,
    format: &'static str,
    architecture: &'a str,
    context_length: Option<u32>,
    variants: &'a [String],
    directory: &'a str,
    files: Vec<FileRow<'a>>,
    chat_template: Option<&'a str>,
    last_unload_reason: Option<String>,
}

#[derive(Debug, Serialize)]
struct FileRow<'a> {
    path: &'a str,
    size_bytes: u64,
    sha256: Option<&'a str>,
}

impl<'a> From<&'a ModelDetails> for DetailsView<'a> {
    fn from(details: &'a ModelDetails) -> Self {
        let files = details.files.iter().map(|file| FileRow {
            path: &file.path,
            size_bytes: file.size_bytes,
            sha256: file.sha256.as_deref(),
        });
        Self {
            model: (&details.model).into(),
            format: details.format.as_str(),
            architecture: &details.architecture,
            context_length: details.context_length,
            variants: &details.variants,
            directory: &details.directory,
            files: files.collect(),
            chat_template: details.chat_template.as_deref(),
            last_unload_reason: details.model.last_unload_reason.as_ref().map(ToString::to_string),
        }
    }
}

/// `airunner chat --json`.
#[derive(Debug, Serialize)]
pub(crate) struct AnswerView<'a> {
    pub(crate) text: &'a str,
    pub(crate) finish_reason: &'static str,
    pub(crate) usage: UsageView,
    pub(crate) timings: TimingsView,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) reasoning: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<CallView<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CallView<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a CalledTool> for CallView<'a> {
    fn from(call: &'a CalledTool) -> Self {
        Self {
            id: &call.id,
            name: &call.name,
            arguments: &call.arguments,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct UsageView {
    prompt_tokens: u32,
    cached_tokens: u32,
    completion_tokens: u32,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct TimingsView {
    queue_ms: f64,
    load_ms: f64,
    prompt_ms: f64,
    first_token_ms: f64,
    decode_ms: f64,
    prompt_tokens_per_second: f64,
    tokens_per_second: f64,
}

impl From<Timings> for TimingsView {
    fn from(timings: Timings) -> Self {
        let ms = |time: std::time::Duration| rounded(time.as_secs_f64() * 1e3);
        Self {
            queue_ms: ms(timings.queue),
            load_ms: ms(timings.load),
            prompt_ms: ms(timings.prompt),
            first_token_ms: ms(timings.first_token),
            decode_ms: ms(timings.decode),
            prompt_tokens_per_second: rounded(timings.prompt_tokens_per_second),
            tokens_per_second: rounded(timings.tokens_per_second),
        }
    }
}

/// To thousandths: more digits are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use airunner_core::ModelName;
    use airunner_core::model::{ModelKind, Source};
    use serde_json::{Value, json};

    use super::*;

    fn model(state: StateName, instance: Option<Instance>) -> Model {
        Model {
            name: ModelName::new("tiny").unwrap(),
            kind: ModelKind::Llm,
            state,
            size_bytes: 1 << 20,
            source: Source::Import("tiny".into()),
            instance,
            last_unload_reason: None,
            waiting_requests: 0,
        }
    }

    fn loaded() -> Model {
        let instance = Instance {
            pid: 7,
            device: "cpu".into(),
            memory_bytes: 5 << 20,
            context_length: 2048,
            expires_at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(300)),
            ..Instance::default()
        };
        model(StateName::Loaded, Some(instance))
    }

    fn value(view: &impl Serialize) -> Value {
        serde_json::to_value(view).unwrap()
    }

    #[test]
    fn models_have_the_fields_of_the_contract() {
        let rows = value(&model_rows(&[model(StateName::Unloaded, None)]));
        let row = json!({
            "name": "tiny", "kind": "llm", "state": "UNLOADED", "size_bytes": 1 << 20, "source": "import:tiny"
        });
        assert_eq!(rows, json!([row]));
    }

    #[test]
    fn processes_have_the_fields_of_the_contract_and_only_what_is_in_memory() {
        let rows = value(&process_rows(&[loaded(), model(StateName::Unloaded, None)]));
        let row = json!({
            "model": "tiny", "state": "LOADED", "pid": 7, "device": "cpu", "memory_bytes": 5 << 20,
            "context_length": 2048, "active_requests": 0, "expires_at": "1970-01-01T00:05:00Z"
        });
        assert_eq!(rows, json!([row]));
        let starting = value(&process_rows(&[model(
            StateName::Loading,
            Some(Instance::default()),
        )]));
        assert_eq!(
            (&starting[0]["pid"], &starting[0]["expires_at"]),
            (&Value::Null, &Value::Null)
        );
    }

    #[test]
    fn status_has_the_same_fields_up_and_down() {
        let up = StatusView::running(&DaemonStatus {
            pid: 1,
            daemon_version: "0.1.0".into(),
            protocol_version: 1,
            socket: "/run/s".into(),
            uptime: Duration::from_millis(2900),
            memory_bytes: 3,
            models: vec![loaded()],
            shutting_down: false,
            onnxruntime_library: None,
        });
        let (up, down) = (value(&up), value(&StatusView::stopped("/run/s".into())));
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = "running pid version protocol socket uptime_seconds memory_bytes models";
        assert_eq!(keys(&up).join(" "), expected);
        assert_eq!(keys(&down), keys(&up));
        assert_eq!(
            (&up["uptime_seconds"], &down["running"]),
            (&json!(2), &json!(false))
        );
    }

    #[test]
    fn an_answer_has_the_fields_of_the_contract() {
        let view = AnswerView {
            text: "Hi",
            finish_reason: "stop",
            usage: Usage {
                prompt_tokens: 3,
                cached_tokens: 1,
                completion_tokens: 2,
            }
            .into(),
            timings: Timings {
                decode: Duration::from_micros(1500),
                ..Timings::default()
            }
            .into(),
            reasoning: "",
            tool_calls: Vec::new(),
        };
        assert_eq!(
            value(&view),
            json!({
                "text": "Hi",
                "finish_reason": "stop",
                "usage": { "prompt_tokens": 3, "cached_tokens": 1, "completion_tokens": 2 },
                "timings": {
                    "queue_ms": 0.0, "load_ms": 0.0, "prompt_ms": 0.0, "first_token_ms": 0.0, "decode_ms": 1.5,
                    "prompt_tokens_per_second": 0.0, "tokens_per_second": 0.0
                }
            })
        );
    }

    #[test]
    fn people_see_sizes_and_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let (head, rows) = processes_table(&[loaded()], now).lines();
        assert_eq!(
            head,
            "MODEL  STATE   PID  DEVICE   MEMORY  CONTEXT  ACTIVE  EXPIRES"
        );
        assert_eq!(
            rows,
            ["tiny   LOADED    7  cpu     5.0 MiB     2048       0  in 4 min"]
        );
        let forever = Instance {
            expires_at: None,
            ..loaded().instance.unwrap()
        };
        assert_eq!(expires(StateName::Loaded, &forever, now), "never");
        assert_eq!(expires(StateName::Busy, &forever, now), "-");
    }
}
