//! Writes what was counted, together.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::storage::{Storage, UsageBatch};

/// From the first event to the write.
const PAUSE: Duration = Duration::from_secs(1);
/// From a write that failed to the next attempt.
const RETRY: Duration = Duration::from_secs(60);

pub(super) enum Message {
    Flush(oneshot::Sender<()>),
    End,
}

/// Owns the writing.
pub struct Actor {
    pending: Arc<watch::Sender<UsageBatch>>,
    changes: watch::Receiver<UsageBatch>,
    messages: mpsc::Receiver<Message>,
    storage: Storage,
    /// When to write; `None` while there is nothing to write.
    due: Option<Instant>,
    /// Said once until a write succeeds again.
    failing: bool,
}

impl Actor {
    pub(super) fn new(
        pending: Arc<watch::Sender<UsageBatch>>,
        messages: mpsc::Receiver<Message>,
        storage: Storage,
    ) -> Self {
        Self {
            changes: pending.subscribe(),
            pending,
            messages,
            storage,
            due: None,
            failing: false,
        }
    }

    /// Until it is told to end, or every handle is gone.
    pub async fn run(mut self) {
        loop {
            let due = self.due;
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::Flush(reply)) => {
                        self.write().await;
                        // Who asked may be gone.
                        let _ = reply.send(());
                    }
                    Some(Message::End) | None => break,
                },
                changed = self.changes.changed(), if due.is_none() => {
                    if changed.is_err() {
                        break;
                    }
                    self.due = Some(Instant::now() + PAUSE);
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => self.write().await,
            }
        }
        self.write().await;
    }

    async fn write(&mut self) {
        let batch = self.take();
        self.due = None;
        if batch.is_empty() {
            return;
        }
        match self.storage.record_usage(batch.clone()).await {
            Ok(()) => self.failing = false,
            Err(fault) => {
                self.put_back(batch);
                self.due = Some(Instant::now() + RETRY);
                if !mem::replace(&mut self.failing, true) {
                    tracing::warn!(reason = %fault.kind, "what was used cannot be written down: {fault}");
                }
            }
        }
    }

    fn take(&mut self) -> UsageBatch {
        let mut batch = UsageBatch::default();
        // What comes from here on is either in this batch or told as a change.
        self.changes.mark_unchanged();
        self.pending.send_if_modified(|pending| {
            mem::swap(pending, &mut batch);
            false
        });
        batch
    }

    fn put_back(&self, batch: UsageBatch) {
        self.pending.send_if_modified(|pending| {
            pending.add_earlier(batch);
            false
        });
    }
}
