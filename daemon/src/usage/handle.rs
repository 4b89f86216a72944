//! What the rest of the daemon tells and asks.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use airunner_core::usage::{self, UsageEvent};
use airunner_core::{Fault, ModelName};
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{Actor, Message};
use crate::metrics::Metrics;
use crate::storage::{Storage, UsageBatch};

/// Calls that may wait for the actor.
const CALLS: usize = 16;

/// The way to the counters.
#[derive(Clone, Debug)]
pub struct Usage {
    /// A channel whose messages add up instead of queueing, so that it is never full.
    pending: Arc<watch::Sender<UsageBatch>>,
    sender: mpsc::Sender<Message>,
    storage: Storage,
    metrics: Metrics,
}

impl Usage {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(storage: Storage) -> (Self, Actor) {
        let pending = Arc::new(watch::Sender::new(UsageBatch::default()));
        let (sender, receiver) = mpsc::channel(CALLS);
        let actor = Actor::new(Arc::clone(&pending), receiver, storage.clone());
        let handle = Self {
            pending,
            sender,
            storage,
            metrics: Metrics::default(),
        };
        (handle, actor)
    }

    /// Counts something that happened just now. Never waits and loses nothing.
    pub fn note(&self, event: &UsageEvent) {
        self.note_at(event, SystemTime::now());
    }

    /// Counts something that happened then.
    pub fn note_at(&self, event: &UsageEvent, at: SystemTime) {
        self.metrics.count(event);
        self.pending.send_modify(|batch| batch.add(event, at));
    }

    /// The numbers for those who watch from outside, which see what is noted here at once.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// By model, the one last used first; of the last time only, in whole days.
    pub async fn summary(&self, within: Option<Duration>) -> Result<Vec<usage::Usage>, Fault> {
        self.flush().await;
        self.storage.usage(since(within)).await
    }

    /// The models with the most requests.
    pub async fn most_used(&self, count: usize, within: Option<Duration>) -> Result<Vec<ModelName>, Fault> {
        self.flush().await;
        self.storage.most_used(count, since(within)).await
    }

    /// Drops what is counted of a model.
    pub async fn forget(&self, model: ModelName) -> Result<(), Fault> {
        self.pending.send_if_modified(|batch| {
            batch.forget(&model);
            false
        });
        self.flush().await;
        self.storage.forget_usage(model).await
    }

    /// Returns when everything noted before is written, or cannot be.
    pub async fn flush(&self) {
        let (reply, written) = oneshot::channel();
        if self.sender.send(Message::Flush(reply)).await.is_ok() {
            // Without an answer the actor has ended, and wrote everything before.
            drop(written.await);
        }
    }

    /// Lets the actor write what is left and end.
    pub async fn end(&self) {
        // It has ended already if it cannot be told.
        drop(self.sender.send(Message::End).await);
    }
}

fn since(within: Option<Duration>) -> SystemTime {
    let now = SystemTime::now();
    within
        .and_then(|within| now.checked_sub(within))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
