//! What models were used and what it cost.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::usage::{Usage, UsageRequest};

use super::common::{epoch_millis, millis, moment, named};
use crate::v1;

impl From<UsageRequest> for v1::UsageRequest {
    fn from(request: UsageRequest) -> Self {
        Self {
            within_ms: request.within.map(millis),
        }
    }
}

impl From<v1::UsageRequest> for UsageRequest {
    fn from(wire: v1::UsageRequest) -> Self {
        Self {
            within: wire.within_ms.map(Duration::from_millis),
        }
    }
}

impl From<Vec<Usage>> for v1::UsageResponse {
    fn from(models: Vec<Usage>) -> Self {
        Self {
            models: models.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::UsageResponse> for Vec<Usage> {
    type Error = Fault;

    fn try_from(wire: v1::UsageResponse) -> Result<Self, Fault> {
        wire.models.into_iter().map(TryInto::try_into).collect()
    }
}

impl From<Usage> for v1::ModelUsage {
    fn from(usage: Usage) -> Self {
        let unloads = usage.unloads.into_iter();
        Self {
            model: usage.model.to_string(),
            loads: usage.loads,
            failed_loads: usage.failed_loads,
            load_ms: millis(usage.load_time),
            last_load_ms: usage.last_load_time.map(millis),
            peak_memory_bytes: usage.peak_memory_bytes,
            requests: usage.requests,
            failed_requests: usage.failed_requests,
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            busy_ms: millis(usage.busy_time),
            last_used_ms: usage.last_used.map(epoch_millis),
            unloads: unloads
                .map(|(reason, count)| v1::UnloadCount { reason, count })
                .collect(),
        }
    }
}

impl TryFrom<v1::ModelUsage> for Usage {
    type Error = Fault;

    fn try_from(wire: v1::ModelUsage) -> Result<Self, Fault> {
        let last_used = wire.last_used_ms.map(|ms| moment(ms, "usage.last_used_ms"));
        let unloads = wire.unloads.into_iter();
        Ok(Self {
            model: named(&wire.model, "usage.model")?,
            loads: wire.loads,
            failed_loads: wire.failed_loads,
            load_time: Duration::from_millis(wire.load_ms),
            last_load_time: wire.last_load_ms.map(Duration::from_millis),
            peak_memory_bytes: wire.peak_memory_bytes,
            requests: wire.requests,
            failed_requests: wire.failed_requests,
            prompt_tokens: wire.prompt_tokens,
            completion_tokens: wire.completion_tokens,
            busy_time: Duration::from_millis(wire.busy_ms),
            last_used: last_used.transpose()?,
            unloads: unloads.map(|count| (count.reason, count.count)).collect(),
        })
    }
}
