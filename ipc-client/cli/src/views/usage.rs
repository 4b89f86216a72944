//! What models were used and what it cost.

use std::collections::BTreeMap;
use std::time::SystemTime;

use airunner_core::usage::Usage;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner stats`.
#[derive(Debug, Serialize)]
pub(crate) struct UsageRow<'a> {
    model: &'a str,
    loads: u64,
    failed_loads: u64,
    load_ms: u64,
    last_load_ms: Option<u64>,
    peak_memory_bytes: u64,
    requests: u64,
    failed_requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    busy_ms: u64,
    last_used: Option<String>,
    unloads: BTreeMap<&'a str, u64>,
}

impl<'a> From<&'a Usage> for UsageRow<'a> {
    fn from(usage: &'a Usage) -> Self {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let unloads = usage.unloads.iter().map(|(reason, count)| (&**reason, *count));
        Self {
            model: usage.model.as_str(),
            loads: usage.loads,
            failed_loads: usage.failed_loads,
            load_ms: ms(usage.load_time),
            last_load_ms: usage.last_load_time.map(ms),
            peak_memory_bytes: usage.peak_memory_bytes,
            requests: usage.requests,
            failed_requests: usage.failed_requests,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            busy_ms: ms(usage.busy_time),
            last_used: usage.last_used.and_then(units::timestamp),
            unloads: unloads.collect(),
        }
    }
}

pub(crate) fn usage_rows(usage: &[Usage]) -> Vec<UsageRow<'_>> {
    usage.iter().map(Into::into).collect()
}

pub(crate) fn usage_table(usage: &[Usage], now: SystemTime) -> Table {
    let mut table = Table::new(&[
        ("MODEL", Align::Left),
        ("LOADS", Align::Left),
        ("LAST LOAD", Align::Right),
        ("MOST MEMORY", Align::Right),
        ("REQUESTS", Align::Left),
        ("READ", Align::Right),
        ("WRITTEN", Align::Right),
        ("BUSY", Align::Right),
        ("LAST USED", Align::Left),
        ("UNLOADED FOR", Align::Left),
    ]);
    let dash = || "-".to_owned();
    for usage in usage {
        let unloads = usage
            .unloads
            .iter()
            .map(|(reason, count)| format!("{reason} {count}"));
        table.row([
            usage.model.to_string(),
            with_failed(usage.loads, usage.failed_loads),
            usage.last_load_time.map_or_else(dash, units::short_time),
            match usage.peak_memory_bytes {
                0 => dash(),
                bytes => units::size(bytes),
            },
            with_failed(usage.requests, usage.failed_requests),
            usage.prompt_tokens.to_string(),
            usage.completion_tokens.to_string(),
            units::short_time(usage.busy_time),
            usage
                .last_used
                .map_or_else(dash, |moment| units::since(moment, now)),
            unloads.collect::<Vec<_>>().join(", "),
        ]);
    }
    table
}

fn with_failed(count: u64, failed: u64) -> String {
    match failed {
        0 => count.to_string(),
        failed => format!("{count}, {failed} failed"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::samples::{name, value};
    use super::*;

    fn usage() -> Usage {
        Usage {
            model: name("tiny"),
            loads: 3,
            failed_loads: 1,
            load_time: Duration::from_millis(4500),
            last_load_time: Some(Duration::from_millis(1250)),
            peak_memory_bytes: 700 << 20,
            requests: 40,
            failed_requests: 2,
            prompt_tokens: 9000,
            completion_tokens: 1234,
            busy_time: Duration::from_secs(75),
            last_used: Some(SystemTime::UNIX_EPOCH),
            unloads: vec![("idle_timeout".into(), 2), ("evicted_for".into(), 1)],
        }
    }

    #[test]
    fn usage_has_the_fields_of_the_contract() {
        assert_eq!(
            value(&usage_rows(&[usage()])),
            json!([{
                "model": "tiny", "loads": 3, "failed_loads": 1, "load_ms": 4500, "last_load_ms": 1250,
                "peak_memory_bytes": 700 << 20, "requests": 40, "failed_requests": 2, "prompt_tokens": 9000,
                "completion_tokens": 1234, "busy_ms": 75000, "last_used": "1970-01-01T00:00:00Z",
                "unloads": { "evicted_for": 1, "idle_timeout": 2 }
            }])
        );
    }

    #[test]
    fn people_see_counts_and_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(7200);
        let (head, rows) = usage_table(&[usage()], now).lines();
        assert_eq!(
            head,
            "MODEL  LOADS        LAST LOAD  MOST MEMORY  REQUESTS      READ  WRITTEN   BUSY  LAST USED  UNLOADED FOR"
        );
        assert_eq!(
            rows,
            [
                "tiny   3, 1 failed      1.2 s      700 MiB  40, 2 failed  9000     1234  1 min  2 h ago    idle_timeout 2, evicted_for 1"
            ]
        );
    }
}
