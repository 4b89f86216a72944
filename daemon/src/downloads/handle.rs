//! What the rest of the daemon asks of the downloads.

use std::collections::HashSet;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use airunner_core::download::{
    Download, DownloadId, DownloadState, PullEvent, PullRequest, VerifyEvent, VerifyRequest,
};
use airunner_core::{ErrorKind, Fault};
use futures_util::Stream;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::actor::{Actor, Message, offline, shutting_down};
use super::area::Area;
use super::bandwidth::Bandwidth;
use super::claims::Claims;
use super::fetch::{Tools, bytes_here};
use super::hub::{Hub, HubCache, HubOptions};
use super::library::{Library, Names, model};
use super::resolve::understand;
use super::verify::verify;
use crate::events::Publisher;
use crate::storage::Storage;

/// Messages that may wait for the actor.
const CAPACITY: usize = 64;
/// Installed models that are checked at once.
const CHECKS: usize = 2;

/// How downloads are done.
#[derive(Clone, Debug)]
pub struct DownloadOptions {
    pub hub: HubOptions,
    /// Where contents are put together: on the disk of the model store, so that they need not be
    /// copied.
    pub directory: PathBuf,
    /// Of the hub's own tools; looked into, never written to.
    pub hub_cache: Option<PathBuf>,
    pub connections: usize,
    /// Bytes per second, all together.
    pub bandwidth: Option<u64>,
}

/// Progress, then the installed model or an error. Dropping it leaves the download running.
pub type PullEvents = Pin<Box<dyn Stream<Item = Result<PullEvent, Fault>> + Send>>;

/// Progress, then what is wrong. Dropping it ends the check.
pub type VerifyEvents = mpsc::Receiver<Result<VerifyEvent, Fault>>;

/// The way to the downloads.
#[derive(Clone)]
pub struct Downloads {
    sender: mpsc::Sender<Message>,
    tools: Arc<Tools>,
    library: Arc<dyn Library>,
    names: Arc<dyn Names>,
}

impl Downloads {
    /// The handle, and the actor to run. What an earlier daemon left unfinished goes on by itself.
    /// Only for whoever holds the instance lock.
    pub async fn open(
        options: DownloadOptions,
        storage: Storage,
        library: Arc<dyn Library>,
        names: Arc<dyn Names>,
        publisher: Publisher,
    ) -> Result<(Self, Actor), Fault> {
        let wanted: HashSet<String> = storage.prune_contents().await?;
        let mut records = Vec::new();
        for record in storage.downloads().await? {
            let here = bytes_here(&storage, &storage.download_files(record.id).await?).await?;
            records.push((record, here));
        }
        let limit = options.connections.max(1);
        let tools = Arc::new(Tools {
            hub: Hub::new(&options.hub)?,
            cache: HubCache::new(options.hub_cache),
            area: Area::open(options.directory, &wanted)?,
            storage,
            bandwidth: Bandwidth::new(options.bandwidth),
            claims: Claims::default(),
            connections: Semaphore::new(limit),
            limit,
            checks: Semaphore::new(CHECKS),
            ending: CancellationToken::new(),
        });
        let (sender, messages) = mpsc::channel(CAPACITY);
        let actor = Actor::new(
            Arc::clone(&tools),
            Arc::clone(&library),
            publisher,
            records,
            messages,
        );
        let handle = Self {
            sender,
            tools,
            library,
            names,
        };
        Ok((handle, actor))
    }

    /// Begins, resumes or joins a download.
    pub async fn pull(&self, request: PullRequest) -> Result<PullEvents, Fault> {
        if self.tools.hub.is_offline() {
            return Err(offline());
        }
        let known = self.names.find(&request.source).await?;
        let asked = Box::new(understand(request, known)?);
        let (reply, answer) = oneshot::channel();
        let watch = self.ask(Message::Pull { asked, reply }, answer).await??;
        let following = Following {
            watch,
            library: Arc::clone(&self.library),
            is_first: true,
        };
        Ok(Box::pin(futures_util::stream::unfold(
            Some(following),
            Following::next,
        )))
    }

    /// The oldest first.
    pub async fn list(&self) -> Result<Vec<Download>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::List { reply }, answer).await
    }

    /// Stops it and keeps what is here; answers when it has stopped.
    pub async fn pause(&self, id: DownloadId) -> Result<Download, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Pause { id, reply }, answer).await?
    }

    pub async fn resume(&self, id: DownloadId) -> Result<Download, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Resume { id, reply }, answer).await?
    }

    /// Stops it and deletes what is here.
    pub async fn cancel(&self, id: DownloadId) -> Result<Download, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Cancel { id, reply }, answer).await?
    }

    /// Compares an installed model with what was published; a repair fetches what is bad.
    #[must_use]
    pub fn verify(&self, request: VerifyRequest) -> VerifyEvents {
        verify(Arc::clone(&self.tools), Arc::clone(&self.library), request)
    }

    /// Returns when nothing runs any more and everything that was fetched is written down.
    pub async fn shutdown(&self) {
        let (reply, answer) = oneshot::channel();
        if self.ask(Message::Shutdown { reply }, answer).await.is_err() {
            tracing::debug!("the downloads have ended already");
        }
    }

    async fn ask<T>(&self, message: Message, answer: oneshot::Receiver<T>) -> Result<T, Fault> {
        self.sender.send(message).await.map_err(|_| shutting_down())?;
        answer.await.map_err(|_| shutting_down())
    }
}

/// One caller who follows a download.
struct Following {
    watch: watch::Receiver<Download>,
    library: Arc<dyn Library>,
    is_first: bool,
}

impl Following {
    /// `None` after the last event.
    async fn next(following: Option<Self>) -> Option<(Result<PullEvent, Fault>, Option<Self>)> {
        let mut following = following?;
        if !following.is_first && following.watch.changed().await.is_err() {
            return Some((Err(shutting_down()), None));
        }
        following.is_first = false;
        let download = following.watch.borrow_and_update().clone();
        if !download.state.is_at_rest() {
            return Some((Ok(PullEvent::Progress(Box::new(download))), Some(following)));
        }
        let last = following.last(download);
        Some((last, None))
    }

    fn last(&self, download: Download) -> Result<PullEvent, Fault> {
        if download.state == DownloadState::Done {
            let found = model(&*self.library, &download.name);
            return found
                .map(|model| PullEvent::Installed(Box::new(model)))
                .ok_or_else(|| {
                    Fault::new(
                        ErrorKind::ModelNotFound,
                        format!("{} was installed and has been removed since", download.name),
                    )
                });
        }
        let id = download.id.0;
        Err(download.fault.unwrap_or_else(|| {
            Fault::new(
                ErrorKind::Cancelled,
                format!("download {id} was stopped: it is {}", download.state.as_str()),
            )
        }))
    }
}
