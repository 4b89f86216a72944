//! Models in memory, and those somebody waits for.

use std::time::SystemTime;

use airunner_core::lifecycle::StateName;
use airunner_core::model::{Instance, Model};
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner ps`.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessRow {
    model: String,
    state: &'static str,
    pid: Option<u32>,
    device: Option<String>,
    memory_bytes: u64,
    estimated_bytes: u64,
    context_length: u32,
    active_requests: u32,
    waiting_requests: u32,
    expires_at: Option<String>,
    pinned: bool,
    loaded_for: Option<String>,
    variant: Option<String>,
    level: Option<&'static str>,
    prepacked: bool,
    threads: Option<u32>,
    cache_type: Option<String>,
}

impl From<&Model> for ProcessRow {
    fn from(model: &Model) -> Self {
        let instance = model.instance.clone().unwrap_or_default();
        let said = |text: String| (!text.is_empty()).then_some(text);
        Self {
            model: model.name.to_string(),
            state: model.state.as_str(),
            pid: (instance.pid != 0).then_some(instance.pid),
            waiting_requests: waiting(model),
            device: said(instance.device),
            memory_bytes: instance.memory_bytes,
            estimated_bytes: instance.estimated_bytes,
            context_length: instance.context_length,
            active_requests: instance.active_requests,
            expires_at: instance.expires_at.and_then(units::timestamp),
            pinned: instance.pinned,
            loaded_for: said(instance.loaded_for),
            variant: said(instance.variant),
            level: instance.level.map(|level| level.as_str()),
            prepacked: instance.prepacked,
            threads: (instance.threads != 0).then_some(instance.threads),
            cache_type: said(instance.cache_type),
        }
    }
}

/// Whether they wait for memory, for the load or for a place in the batch.
fn waiting(model: &Model) -> u32 {
    let within = model
        .instance
        .as_ref()
        .map_or(0, |instance| instance.waiting_requests);
    model.waiting_requests.max(within)
}

fn in_memory(models: &[Model]) -> impl Iterator<Item = &Model> {
    models
        .iter()
        .filter(|model| model.state != StateName::Unloaded || waiting(model) > 0)
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
        ("ESTIMATE", Align::Right),
        ("CONTEXT", Align::Right),
        ("ACTIVE", Align::Right),
        ("WAITING", Align::Right),
        ("UNLOADS", Align::Left),
        ("PINNED", Align::Left),
        ("FAST COPY", Align::Left),
        ("THREADS", Align::Right),
        ("LOADED FOR", Align::Left),
    ]);
    for model in in_memory(models) {
        let instance = model.instance.clone().unwrap_or_default();
        table.row([
            model.name.to_string(),
            model.state.to_string(),
            number_or_dash(instance.pid),
            text_or_dash(&instance.device),
            size_or_dash(instance.memory_bytes),
            size_or_dash(instance.estimated_bytes),
            number_or_dash(instance.context_length),
            instance.active_requests.to_string(),
            waiting(model).to_string(),
            expires(model.state, &instance, now),
            yes_or_dash(instance.pinned),
            yes_or_dash(instance.prepacked),
            number_or_dash(instance.threads),
            text_or_dash(&instance.loaded_for),
        ]);
    }
    table
}

fn number_or_dash(number: u32) -> String {
    match number {
        0 => "-".to_owned(),
        number => number.to_string(),
    }
}

fn size_or_dash(bytes: u64) -> String {
    match bytes {
        0 => "-".to_owned(),
        bytes => units::size(bytes),
    }
}

fn yes_or_dash(is_so: bool) -> String {
    if is_so { "yes" } else { "-" }.to_owned()
}

fn text_or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::samples::{loaded, model, value};
    use super::*;

    #[test]
    fn processes_have_the_fields_of_the_contract_and_only_what_is_in_memory() {
        let rows = value(&process_rows(&[loaded(), model(StateName::Unloaded, None)]));
        let row = json!({
            "model": "tiny", "state": "LOADED", "pid": 7, "device": "cpu", "memory_bytes": 5 << 20,
            "estimated_bytes": 6 << 20, "context_length": 2048, "active_requests": 0, "waiting_requests": 0,
            "expires_at": "1970-01-01T00:05:00Z", "pinned": false, "loaded_for": "request",
            "variant": "onnx/model_q4.onnx", "level": "4bit", "prepacked": false, "threads": 4, "cache_type": "f16"
        });
        assert_eq!(rows, json!([row]));
        let starting = value(&process_rows(&[model(
            StateName::Loading,
            Some(Instance::default()),
        )]));
        for field in [
            "pid",
            "expires_at",
            "device",
            "loaded_for",
            "variant",
            "level",
            "threads",
            "cache_type",
        ] {
            assert_eq!(starting[0][field], Value::Null, "{field}");
        }
    }

    #[test]
    fn a_model_that_somebody_waits_for_is_shown_though_it_is_not_in_memory() {
        let wanted = Model {
            waiting_requests: 3,
            ..model(StateName::Unloaded, None)
        };
        assert_eq!(value(&process_rows(&[wanted]))[0]["waiting_requests"], 3);
    }

    #[test]
    fn people_see_sizes_and_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(60);
        let (head, rows) = processes_table(&[loaded()], now).lines();
        assert_eq!(
            head,
            "MODEL  STATE   PID  DEVICE   MEMORY  ESTIMATE  CONTEXT  ACTIVE  WAITING  UNLOADS   PINNED  FAST COPY  THREADS  LOADED FOR"
        );
        assert_eq!(
            rows,
            [
                "tiny   LOADED    7  cpu     5.0 MiB   6.0 MiB     2048       0        0  in 4 min  -       -                4  request"
            ]
        );
        let mut packed = loaded();
        packed.instance.as_mut().unwrap().prepacked = true;
        let (_, rows) = processes_table(&[packed], now).lines();
        assert!(
            rows[0].contains("in 4 min  -       yes              4  request"),
            "{rows:?}"
        );
        let forever = Instance {
            expires_at: None,
            ..loaded().instance.unwrap()
        };
        assert_eq!(expires(StateName::Loaded, &forever, now), "never");
        assert_eq!(expires(StateName::Busy, &forever, now), "-");
    }
}
