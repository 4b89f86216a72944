use std::time::Duration;

use airunner_core::download::{Download, DownloadId, PullEvent, PullRequest};
use airunner_core::memory::Quantization;
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_ipc_client::{Client, Downloads, Events};
use clap::Args;

use crate::connection::connect;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::run::Context;
use crate::units;
use crate::value;
use crate::views::{DownloadRow, ModelRow};

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// A name of `airunner models catalog`, or a repository of the hub such as owner/name.
    source: String,
    /// What to call it; as the hub does if left out.
    #[arg(long)]
    name: Option<String>,
    /// Precision; the best that this machine can load if left out.
    #[arg(long, value_name = "L", value_parser = value::level())]
    level: Option<Quantization>,
    /// Branch, tag or commit.
    #[arg(long, value_name = "R")]
    revision: Option<String>,
    /// Leave it to the daemon: see how far it is with `airunner downloads`.
    #[arg(long)]
    detach: bool,
}

impl Pull {
    pub(crate) async fn run(self, context: &Context) -> Result<(), Failure> {
        let mut interrupt = context.interrupt.clone();
        let client = tokio::select! {
            client = connect() => client?,
            () = interrupt.pressed() => return Err(Failure::cancelled()),
        };
        let request = PullRequest {
            source: self.source,
            revision: self.revision,
            name: self.name.as_deref().map(ModelName::new).transpose()?,
            level: self.level,
        };
        match pull(&client, request, self.detach, context).await? {
            Outcome::Installed(model) => installed(&model, context),
            Outcome::Detached(download) => detached(&download, context),
        }
    }
}

enum Outcome {
    Installed(Box<Model>),
    Detached(Box<Download>),
}

/// After Ctrl-C: how long to wait for a download to have a number it can be paused by.
const PATIENCE: Duration = Duration::from_secs(10);

async fn pull(
    client: &Client,
    request: PullRequest,
    detach: bool,
    context: &Context,
) -> Result<Outcome, Failure> {
    let mut interrupt = context.interrupt.clone();
    let downloads = client.downloads();
    let progress = Progress::new(&context.output, "asking the hub");
    let mut begin = Box::pin(downloads.pull(request));
    let events = tokio::select! {
        events = &mut begin => events?,
        () = interrupt.pressed() => match tokio::time::timeout(PATIENCE, begin).await {
            Ok(events) => events?,
            Err(_) => return Err(not_waiting()),
        },
    };
    let mut pulling = Pulling {
        progress,
        events,
        seen: None,
    };
    let outcome = tokio::select! {
        biased;
        () = interrupt.pressed() => None,
        outcome = pulling.follow(detach) => Some(outcome),
    };
    match outcome {
        Some(outcome) => outcome,
        None => Err(pulling.pause(&downloads).await),
    }
}

/// A download that is watched.
struct Pulling {
    progress: Progress,
    events: Events<PullEvent>,
    /// Its number, once it was told.
    seen: Option<DownloadId>,
}

impl Pulling {
    async fn follow(&mut self, detach: bool) -> Result<Outcome, Failure> {
        while let Some(event) = self.events.next().await {
            match event? {
                PullEvent::Installed(model) => return Ok(Outcome::Installed(model)),
                PullEvent::Progress(download) if detach => return Ok(Outcome::Detached(download)),
                PullEvent::Progress(download) => {
                    self.progress.download(&download);
                    self.seen = Some(download.id);
                }
            }
        }
        Err(Fault::internal("the download has no end").into())
    }

    /// What Ctrl-C does: what is here is kept.
    async fn pause(mut self, downloads: &Downloads) -> Failure {
        let Some(id) = self.number().await else {
            return not_waiting();
        };
        match downloads.pause(id).await {
            Ok(download) => Fault::new(ErrorKind::Cancelled, paused(&download)).into(),
            Err(fault) => fault.into(),
        }
    }

    async fn number(&mut self) -> Option<DownloadId> {
        if self.seen.is_some() {
            return self.seen;
        }
        match tokio::time::timeout(PATIENCE, self.events.next()).await {
            Ok(Some(Ok(PullEvent::Progress(download)))) => Some(download.id),
            Ok(Some(Ok(PullEvent::Installed(_)) | Err(_)) | None) | Err(_) => None,
        }
    }
}

fn not_waiting() -> Failure {
    let message = "cancelled; a download that has begun goes on: see airunner downloads";
    Fault::new(ErrorKind::Cancelled, message).into()
}

fn paused(download: &Download) -> String {
    let done = units::size(download.done_bytes);
    format!(
        "the download of {} is paused, {done} are here: run the same command again to go on, or \
         delete them with: airunner downloads cancel {}",
        download.name, download.id.0
    )
}

fn installed(model: &Model, context: &Context) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.value(&ModelRow::from(model));
    }
    let (name, size) = (&model.name, units::size(model.size_bytes));
    context.output.line(&format!(
        "{name} is installed ({size}). Talk to it with: airunner chat {name}"
    ))
}

fn detached(download: &Download, context: &Context) -> Result<(), Failure> {
    if context.output.is_json() {
        return context.output.value(&DownloadRow::from(download));
    }
    let (id, name) = (download.id.0, &download.name);
    context.output.line(&format!(
        "{name} is being downloaded (number {id}). See how far it is with: airunner downloads"
    ))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use airunner_core::download::DownloadState;

    use super::*;

    #[test]
    fn who_pauses_a_download_is_told_how_to_go_on() {
        let download = Download {
            id: DownloadId(3),
            name: ModelName::new("qwen").unwrap(),
            repository: "owner/qwen".into(),
            revision: "main".into(),
            level: None,
            state: DownloadState::Paused,
            done_bytes: 5 << 20,
            total_bytes: 10 << 20,
            bytes_per_second: 0,
            file: String::new(),
            fault: None,
            started_at: SystemTime::UNIX_EPOCH,
        };
        assert_eq!(
            paused(&download),
            "the download of qwen is paused, 5.0 MiB are here: run the same command again to go on, \
             or delete them with: airunner downloads cancel 3"
        );
    }
}
