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
    /// Held by every delivery on its way, so that the thread knows when the last has arrived.
    on_the_way: Option<mpsc::Sender<()>>,
}

/// For last deliveries when the courier itself ends.
const FAREWELL: Duration = Duration::from_secs(1);

impl Courier {
    /// `patience`: how long a reader may take for the last events.
    pub(super) fn start(patience: Duration) -> std::io::Result<Self> {
        let timers = Builder::new_current_thread().enable_time().build()?;
        let handle = timers.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let (on_the_way, mut all_arrived) = mpsc::channel::<()>(1);
        let body = move || {
            timers.block_on(async move {
                drop(ended.await);
                drop(tokio::time::timeout(FAREWELL, all_arrived.recv()).await);
            });
        };
        let thread = std::thread::Builder::new()
            .name("llm-courier".to_owned())
            .spawn(body)?;
        Ok(Self {
            handle,
            end: Some(end),
            thread: Some(thread),
            patience,
            on_the_way: Some(on_the_way),
        })
    }

    /// Delivers the last events of a sequence that the engine is done with.
    pub(super) fn deliver(&self, events: Events, last: VecDeque<Event>) {
        let (patience, on_the_way) = (self.patience, self.on_the_way.clone());
        self.handle.spawn(async move {
            let all = async {
                for event in last {
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            };
            drop(tokio::time::timeout(patience, all).await);
            drop(on_the_way);
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
        drop((self.end.take(), self.on_the_way.take()));
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
