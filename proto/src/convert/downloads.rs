//! Fetching models from a hub.

use std::time::Duration;

use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::{ErrorKind, Fault};

use super::common::{epoch_millis, level, level_text, millis, moment, named};
use super::error::{figures_from_wire, figures_to_wire};
use super::wire::known;
use crate::v1;

impl From<Download> for v1::Download {
    fn from(download: Download) -> Self {
        Self {
            id: download.id.0,
            name: download.name.to_string(),
            repository: download.repository,
            revision: download.revision,
            level: level_text(download.level),
            state: download.state.as_str().to_owned(),
            done_bytes: download.done_bytes,
            total_bytes: download.total_bytes,
            bytes_per_second: download.bytes_per_second,
            file: download.file,
            fault: download.fault.map(Into::into),
            started_at_ms: epoch_millis(download.started_at),
        }
    }
}

impl TryFrom<v1::Download> for Download {
    type Error = Fault;

    fn try_from(wire: v1::Download) -> Result<Self, Fault> {
        Ok(Self {
            id: DownloadId(wire.id),
            name: named(&wire.name, "download.name")?,
            repository: wire.repository,
            revision: wire.revision,
            level: level(&wire.level, "download.level")?,
            state: known(DownloadState::parse(&wire.state), "download.state", &wire.state)?,
            done_bytes: wire.done_bytes,
            total_bytes: wire.total_bytes,
            bytes_per_second: wire.bytes_per_second,
            file: wire.file,
            fault: wire.fault.map(Into::into),
            started_at: moment(wire.started_at_ms, "download.started_at_ms")?,
        })
    }
}

/// Every download of an answer.
pub(super) fn downloads(wire: Vec<v1::Download>) -> Result<Vec<Download>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}

impl From<Fault> for v1::DownloadFault {
    fn from(fault: Fault) -> Self {
        Self {
            reason: fault.kind.reason().to_owned(),
            retry_after_ms: fault.retry_after.map(millis),
            figures: figures_to_wire(&fault.figures),
            message: fault.message,
        }
    }
}

impl From<v1::DownloadFault> for Fault {
    /// A reason that is unknown here is an internal error.
    fn from(wire: v1::DownloadFault) -> Self {
        let kind = ErrorKind::from_reason(&wire.reason).unwrap_or(ErrorKind::Internal);
        let mut fault = Self::new(kind, wire.message);
        fault.retry_after = wire.retry_after_ms.map(Duration::from_millis);
        fault.figures = figures_from_wire(wire.figures);
        fault
    }
}
