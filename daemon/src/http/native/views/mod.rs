//! The values of the domains as JSON.

mod catalog;
mod download;
mod events;
mod job;
mod machine;
mod model;
mod notification;
mod pause;
mod usage;

pub(super) use catalog::CatalogBody;
pub(super) use download::DownloadBody;
pub(super) use events::SequencedBody;
pub(super) use job::JobBody;
pub(super) use machine::{EstimateBody, HardwareBody, MemoryBody};
pub(super) use model::{DetailsBody, ModelBody};
pub(super) use notification::NotificationBody;
pub(super) use pause::PauseBody;
pub(super) use usage::ModelUsageBody;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use airunner_core::Fault;
use airunner_core::memory::Quantization;
use serde::Serialize;
use utoipa::ToSchema;

/// What an error looks like.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    error: Problem,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Stable, for programs, such as `model_not_found`.
    reason: &'static str,
    /// For a person.
    message: String,
    /// When trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    /// For programs, such as `required_bytes`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    figures: BTreeMap<String, String>,
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self {
            reason: fault.kind.reason(),
            message: crate::http::family::public_message(&fault),
            retry_after_ms: fault
                .retry_after
                .map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            figures: fault.figures,
        }
    }
}

/// For timings of a request, where fractions count.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// RFC 3339, UTC.
pub(super) fn moment(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The level of that name.
pub(super) fn level(text: Option<&str>) -> Result<Option<Quantization>, Fault> {
    let Some(text) = text else { return Ok(None) };
    Quantization::parse(text).map(Some).ok_or_else(|| {
        let names: Vec<&str> = Quantization::ALL.into_iter().map(Quantization::as_str).collect();
        Fault::invalid(format!("level must be one of {}", names.join(", "))).figure("param", "level")
    })
}
