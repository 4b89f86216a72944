//! What the rest of the daemon asks of the jobs.

use std::time::SystemTime;

use airunner_core::access::{Caller, Scope};
use airunner_core::conversation::{Listing, Page};
use airunner_core::job::{Job, JobId};
use airunner_core::{ErrorKind, Fault};
use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::actor::{Actor, Message, Options};
use crate::storage::{Storage, Viewer};

/// Messages that may wait for the actor.
const CAPACITY: usize = 64;
/// Jobs that are over and that whoever is told of them may be behind.
const OVER: usize = 256;

/// The way to the jobs.
#[derive(Clone, Debug)]
pub struct Jobs {
    sender: mpsc::Sender<Message>,
    over: broadcast::Sender<Job>,
    storage: Storage,
}

impl Jobs {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(options: Options, storage: Storage) -> (Self, Actor) {
        let (sender, messages) = mpsc::channel(CAPACITY);
        let (over, _) = broadcast::channel(OVER);
        let actor = Actor::new(options, storage.clone(), messages, over.clone());
        let handle = Self {
            sender,
            over,
            storage,
        };
        (handle, actor)
    }

    /// Begins a job, or lets it wait for its turn.
    pub async fn submit(&self, caller: &Caller, kind: &'static str, request: Value) -> Result<Job, Fault> {
        let owner = caller.key;
        self.ask(|reply| Message::Submit {
            owner,
            kind,
            request,
            reply,
        })
        .await?
    }

    pub async fn get(&self, caller: &Caller, id: JobId) -> Result<Job, Fault> {
        Ok(self.follow(caller, id).await?.borrow().clone())
    }

    /// The newest first.
    pub async fn list(&self, caller: &Caller, page: Page) -> Result<Listing<Job>, Fault> {
        let viewer = Viewer {
            key: caller.key,
            everything: caller.may(Scope::Admin),
        };
        let mut listing = self.storage.jobs(viewer, page, SystemTime::now()).await?;
        let mut live = self.ask(Message::Live).await?;
        for job in &mut listing.items {
            if let Some(newer) = live.remove(&job.id) {
                *job = newer;
            }
        }
        Ok(listing)
    }

    /// A job and its changes; the sender is gone after the last.
    pub async fn follow(&self, caller: &Caller, id: JobId) -> Result<watch::Receiver<Job>, Fault> {
        let asked = id.clone();
        let watch = self.ask(|reply| Message::Follow { id: asked, reply }).await??;
        let owner = watch.borrow().owner;
        if caller.sees(owner) {
            Ok(watch)
        } else {
            Err(not_found(&id))
        }
    }

    /// Every job, when it is over, from now on.
    #[must_use]
    pub fn endings(&self) -> broadcast::Receiver<Job> {
        self.over.subscribe()
    }

    /// Begins a job once more that failed or was cancelled; nothing happens to any other.
    pub async fn retry(&self, id: JobId) -> Result<Job, Fault> {
        self.ask(|reply| Message::Retry { id, reply }).await?
    }

    /// Stops a job and returns when it has stopped; forgets one that is over.
    pub async fn cancel(&self, caller: &Caller, id: JobId) -> Result<Job, Fault> {
        self.follow(caller, id.clone()).await?;
        let watch = self.ask(|reply| Message::Cancel { id, reply }).await??;
        let mut watch = watch;
        // The sender is gone when the job is over.
        drop(watch.wait_for(|job| job.state.is_over()).await);
        let job = watch.borrow().clone();
        Ok(job)
    }

    /// Stops what runs without ending it: it goes on at the next start.
    pub async fn shutdown(&self) {
        if self.ask(Message::Shutdown).await.is_err() {
            tracing::debug!("the jobs have ended already");
        }
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(message(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

pub(super) fn not_found(id: &JobId) -> Fault {
    let shown: String = id.0.chars().take(64).collect();
    Fault::new(
        ErrorKind::NotFound,
        format!("there is no job {shown:?}: it may have expired"),
    )
}

pub(super) fn ended() -> Fault {
    Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down")
}
