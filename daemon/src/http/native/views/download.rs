//! Downloads.

use airunner_core::download::Download;
use airunner_core::memory::Quantization;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Problem, moment};

/// One fetch from a hub.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct DownloadBody {
    id: u64,
    /// The model it becomes.
    name: String,
    repository: String,
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<&'static str>,
    /// `queued`, `resolving`, `running`, `verifying`, `publishing`, `paused`, `waiting`, `failed`,
    /// `cancelled` or `done`.
    state: &'static str,
    done_bytes: u64,
    /// 0 until the hub has said.
    total_bytes: u64,
    bytes_per_second: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_seconds: Option<u64>,
    /// The file under way.
    #[serde(skip_serializing_if = "String::is_empty")]
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    started_at: String,
}

impl From<Download> for DownloadBody {
    fn from(download: Download) -> Self {
        Self {
            id: download.id.0,
            name: download.name.to_string(),
            remaining_seconds: download.remaining().map(|time| time.as_secs()),
            repository: download.repository,
            revision: download.revision,
            level: download.level.map(Quantization::as_str),
            state: download.state.as_str(),
            done_bytes: download.done_bytes,
            total_bytes: download.total_bytes,
            bytes_per_second: download.bytes_per_second,
            file: download.file,
            error: download.fault.map(Problem::from),
            started_at: moment(download.started_at),
        }
    }
}
