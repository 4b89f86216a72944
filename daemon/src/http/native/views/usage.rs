//! What was used and what it cost.

use std::collections::BTreeMap;

use airunner_core::usage::Usage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{milliseconds, moment};

/// One model's use over a period.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct ModelUsageBody {
    model: String,
    requests: u64,
    failed_requests: u64,
    prompt_tokens: u64,
    completion_tokens: u64,
    busy_ms: f64,
    loads: u64,
    failed_loads: u64,
    load_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_load_ms: Option<f64>,
    peak_memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<String>,
    /// How often it was unloaded, by reason.
    unloads: BTreeMap<String, u64>,
}

impl From<Usage> for ModelUsageBody {
    fn from(usage: Usage) -> Self {
        Self {
            model: usage.model.to_string(),
            requests: usage.requests,
            failed_requests: usage.failed_requests,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            busy_ms: milliseconds(usage.busy_time),
            loads: usage.loads,
            failed_loads: usage.failed_loads,
            load_ms: milliseconds(usage.load_time),
            last_load_ms: usage.last_load_time.map(milliseconds),
            peak_memory_bytes: usage.peak_memory_bytes,
            last_used: usage.last_used.map(moment),
            unloads: usage.unloads.into_iter().collect(),
        }
    }
}
