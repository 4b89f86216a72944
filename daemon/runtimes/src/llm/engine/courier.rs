//! Waits for readers so that the engine's thread never has to.

use std::collections::VecDeque;
use std::thread::JoinHandle;
use std::time::Duration;

use airunner_core::Fault;
use airunner_core::generate::GenerateEvent;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::interrupt::Interrupt;

pub(super) type Event = Result<GenerateEvent, Fault>;
pub(super) type Events = mpsc::Sender<Event>;

/// A thread with timers. Dropping it ends the thread.
pub(super) struct Courier {
    handle: Handle,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    patience: Duration,
}

impl Courier {
    /// `patience`: how long a reader may take for the last events.
    pub(super) fn start(patience: Duration) -> std::io::Result<Self> {
        let timers = Builder::new_current_thread().enable_time().build()?;
        let handle = timers.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let body = move || drop(timers.block_on(ended));
        let thread = std::thread::Builder::new()
            .name("llm-courier".to_owned())
            .spawn(body)?;
        Ok(Self {
            handle,
            end: Some(end),
            thread: Some(thread),
            patience,
        })
    }

    /// Delivers the last events of a sequence that the engine is done with.
    pub(super) fn deliver(&self, events: Events, last: VecDeque<Event>) {
        let patience = self.patience;
        self.handle.spawn(async move {
            let all = async {
                for event in last {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            };
            drop(tokio::time::timeout(patience, all).await);
        });
    }

    /// Interrupts the sequence's prompt when its reader leaves. Aborted when it is computed.
    pub(super) fn watch(&self, events: Events, sequence: u64, interrupt: Interrupt) -> Watch {
        let task = self.handle.spawn(async move {
            events.closed().await;
            interrupt.left(sequence);
        });
        Watch(task.abort_handle())
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Ends the watch when dropped.
pub(super) struct Watch(AbortHandle);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}
