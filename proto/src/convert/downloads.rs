//! Fetching models from a hub, and checking what was fetched.

use airunner_core::download::{
    Download, DownloadId, DownloadState, FileProblem, PullEvent, PullRequest, VerifyEvent, VerifyRequest,
};
use airunner_core::{Fault, ModelName};

use super::common::{asked_level, epoch_millis, level, level_text, moment, named};
use super::wire::{answered, known, non_empty, plain_text, required};
use crate::v1;

/// Longest name of a repository or of a revision a request may have, bytes.
const MAX_SOURCE_BYTES: usize = 512;

impl From<PullRequest> for v1::PullRequest {
    fn from(request: PullRequest) -> Self {
        Self {
            source: request.source,
            revision: request.revision.unwrap_or_default(),
            name: request.name.map(|name| name.to_string()).unwrap_or_default(),
            level: level_text(request.level),
        }
    }
}

impl TryFrom<v1::PullRequest> for PullRequest {
    type Error = Fault;

    fn try_from(wire: v1::PullRequest) -> Result<Self, Fault> {
        plain_text(&wire.source, MAX_SOURCE_BYTES, "source")?;
        plain_text(&wire.revision, MAX_SOURCE_BYTES, "revision")?;
        let name = non_empty(wire.name).map(|name| ModelName::new(&name));
        Ok(Self {
            source: required(non_empty(wire.source), "source")?,
            revision: non_empty(wire.revision),
            name: name.transpose()?,
            level: asked_level(&wire.level)?,
        })
    }
}

impl From<PullEvent> for v1::PullResponse {
    fn from(event: PullEvent) -> Self {
        use v1::pull_response::Event;
        let event = match event {
            PullEvent::Progress(download) => Event::Progress((*download).into()),
            PullEvent::Installed(model) => Event::Installed((*model).into()),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::PullResponse> for PullEvent {
    type Error = Fault;

    fn try_from(wire: v1::PullResponse) -> Result<Self, Fault> {
        use v1::pull_response::Event;
        match answered(wire.event, "event")? {
            Event::Progress(download) => Ok(Self::Progress(Box::new(download.try_into()?))),
            Event::Installed(model) => Ok(Self::Installed(Box::new(model.try_into()?))),
        }
    }
}

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

impl From<Vec<Download>> for v1::ListDownloadsResponse {
    fn from(downloads: Vec<Download>) -> Self {
        Self {
            downloads: downloads.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ListDownloadsResponse> for Vec<Download> {
    type Error = Fault;

    fn try_from(wire: v1::ListDownloadsResponse) -> Result<Self, Fault> {
        downloads(wire.downloads)
    }
}

impl From<DownloadId> for v1::DownloadRequest {
    fn from(id: DownloadId) -> Self {
        Self { id: id.0 }
    }
}

impl From<v1::DownloadRequest> for DownloadId {
    fn from(wire: v1::DownloadRequest) -> Self {
        Self(wire.id)
    }
}

impl From<VerifyRequest> for v1::VerifyModelRequest {
    fn from(request: VerifyRequest) -> Self {
        Self {
            name: request.name.to_string(),
            repair: request.repair,
        }
    }
}

impl TryFrom<v1::VerifyModelRequest> for VerifyRequest {
    type Error = Fault;

    fn try_from(wire: v1::VerifyModelRequest) -> Result<Self, Fault> {
        Ok(Self {
            name: ModelName::new(&wire.name)?,
            repair: wire.repair,
        })
    }
}

impl From<VerifyEvent> for v1::VerifyModelResponse {
    fn from(event: VerifyEvent) -> Self {
        use v1::verify_model_response::Event;
        let event = match event {
            VerifyEvent::Progress {
                file,
                done_bytes,
                total_bytes,
            } => Event::Progress(v1::VerifyProgress {
                file,
                done_bytes,
                total_bytes,
            }),
            VerifyEvent::Finished(problems) => Event::Finished(v1::VerifyFinished {
                problems: problems.into_iter().map(Into::into).collect(),
            }),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::VerifyModelResponse> for VerifyEvent {
    type Error = Fault;

    fn try_from(wire: v1::VerifyModelResponse) -> Result<Self, Fault> {
        use v1::verify_model_response::Event;
        Ok(match answered(wire.event, "event")? {
            Event::Progress(v1::VerifyProgress {
                file,
                done_bytes,
                total_bytes,
            }) => Self::Progress {
                file,
                done_bytes,
                total_bytes,
            },
            Event::Finished(finished) => {
                Self::Finished(finished.problems.into_iter().map(Into::into).collect())
            }
        })
    }
}

impl From<FileProblem> for v1::FileProblem {
    fn from(problem: FileProblem) -> Self {
        Self {
            path: problem.path,
            problem: problem.problem,
            repaired: problem.repaired,
        }
    }
}

impl From<v1::FileProblem> for FileProblem {
    fn from(wire: v1::FileProblem) -> Self {
        Self {
            path: wire.path,
            problem: wire.problem,
            repaired: wire.repaired,
        }
    }
}
