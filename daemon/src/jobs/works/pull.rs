//! Fetching a model from a hub. The download is the one that does it; the job follows.

use airunner_core::download::{Download, DownloadId, DownloadState, PullEvent, PullRequest};
use airunner_core::event::{Event, WatchPayload};
use airunner_core::memory::Quantization;
use airunner_core::{ErrorKind, Fault, ModelName};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{cancelled, read, shutting_down, write};
use crate::activities::share;
use crate::downloads::Downloads;
use crate::events::Watch;
use crate::jobs::{Going, Outcome, Progress, Work};
use crate::models::Models;

/// See the module.
#[derive(Clone)]
pub struct Pull {
    pub downloads: Downloads,
    pub models: Models,
}

/// A request as it is written down.
#[derive(Serialize, Deserialize)]
struct Written {
    source: String,
    revision: Option<String>,
    name: Option<String>,
    level: Option<String>,
}

/// Which download it became.
#[derive(Serialize, Deserialize)]
struct Noted {
    download: u64,
}

impl Pull {
    pub const KIND: &str = "pull";

    /// How a request is given to a job.
    pub fn request(request: PullRequest) -> Result<Value, Fault> {
        write(&Written {
            source: request.source,
            revision: request.revision,
            name: request.name.map(|name| name.to_string()),
            level: request.level.map(|level| level.as_str().to_owned()),
        })
    }

    async fn begin(&self, request: Value) -> Result<Result<DownloadId, Value>, Fault> {
        let written: Written = read(request)?;
        let request = PullRequest {
            source: written.source,
            revision: written.revision,
            name: written.name.map(|name| ModelName::new(&name)).transpose()?,
            level: written.level.and_then(|level| Quantization::parse(&level)),
        };
        let mut events = self.downloads.pull(request).await?;
        match events.next().await {
            Some(Ok(PullEvent::Progress(download))) => Ok(Ok(download.id)),
            Some(Ok(PullEvent::Installed(model))) => Ok(Err(json!({"model": model.name.as_str()}))),
            Some(Err(fault)) => Err(fault),
            None => Err(shutting_down()),
        }
    }

    /// A download that was paused is waited for.
    async fn follow(&self, id: DownloadId, mut watch: Watch, progress: &Progress) -> Outcome {
        let known = self.downloads.list().await?;
        let download = known.into_iter().find(|download| download.id == id);
        let mut download = download.ok_or_else(|| {
            Fault::new(
                ErrorKind::NotFound,
                format!("download {} has been forgotten", id.0),
            )
        })?;
        loop {
            progress.reached(share(download.done_bytes, download.total_bytes));
            match download.state {
                DownloadState::Done => {
                    return Ok(json!({"download": id.0, "model": download.name.as_str()}));
                }
                DownloadState::Failed => return Err(failed(download)),
                DownloadState::Cancelled => {
                    return Err(Fault::new(
                        ErrorKind::Cancelled,
                        format!("download {} was cancelled", id.0),
                    ));
                }
                DownloadState::Queued
                | DownloadState::Resolving
                | DownloadState::Running
                | DownloadState::Verifying
                | DownloadState::Publishing
                | DownloadState::Paused
                | DownloadState::Waiting => download = next(&mut watch, id).await?,
            }
        }
    }
}

fn failed(download: Download) -> Fault {
    let id = download.id.0;
    download
        .fault
        .unwrap_or_else(|| Fault::internal(format!("download {id} failed")))
}

/// The next change of a download.
async fn next(watch: &mut Watch, id: DownloadId) -> Result<Download, Fault> {
    loop {
        let message = watch.next().await.ok_or_else(shutting_down)?;
        match message.payload {
            WatchPayload::Snapshot(snapshot) => {
                let found = snapshot.downloads.into_iter().find(|download| download.id == id);
                if let Some(download) = found {
                    return Ok(download);
                }
            }
            WatchPayload::Event(Event::DownloadChanged(download)) if download.id == id => {
                return Ok(*download);
            }
            WatchPayload::Event(
                Event::ModelChanged { .. }
                | Event::ModelRemoved(_)
                | Event::MemoryChanged(_)
                | Event::DownloadChanged(_)
                | Event::ActivityChanged(_)
                | Event::ActivityEnded(_)
                | Event::NotificationChanged(_)
                | Event::PauseChanged(_)
                | Event::HttpChanged(_)
                | Event::ShuttingDown { .. },
            ) => {}
        }
    }
}

impl Work for Pull {
    fn kind(&self) -> &'static str {
        Self::KIND
    }

    /// The downloads have an order of their own.
    fn at_once(&self) -> usize {
        usize::MAX
    }

    fn resumes(&self) -> bool {
        true
    }

    fn run(
        &self,
        request: Value,
        noted: Option<Value>,
        progress: Progress,
        cancel: CancellationToken,
    ) -> Going {
        let pull = self.clone();
        Box::pin(async move {
            // Before the download is looked at, so that no change is missed.
            let watch = pull.models.watch();
            let noted = noted.and_then(|noted| serde_json::from_value::<Noted>(noted).ok());
            let id = match noted {
                Some(noted) => DownloadId(noted.download),
                None => tokio::select! {
                    () = cancel.cancelled() => return Err(cancelled()),
                    begun = pull.begin(request) => match begun? {
                        Ok(id) => id,
                        Err(installed) => return Ok(installed),
                    },
                },
            };
            progress.note(write(&Noted { download: id.0 })?);
            tokio::select! {
                () = cancel.cancelled() => {
                    pull.downloads.cancel(id).await?;
                    Err(cancelled())
                }
                outcome = pull.follow(id, watch, &progress) => outcome,
            }
        })
    }
}
