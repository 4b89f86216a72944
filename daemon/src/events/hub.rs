//! The published picture of everything, and the stream of its changes.
//!
//! A change is first put into the picture and then sent out with its number, so a reader that
//! subscribes first and then looks at the picture misses nothing: it skips the events that the
//! picture already contains.

use std::collections::BTreeMap;
use std::sync::Arc;

use airunner_core::ModelName;
use airunner_core::activity::{Activity, ActivityId};
use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::event::{Event, Snapshot, WatchMessage, WatchPayload};
use airunner_core::memory::MemoryBreakdown;
use airunner_core::model::Model;
use airunner_core::notification::{Notification, NotificationId};
use airunner_core::pause::Pause;
use airunner_core::status::HttpStatus;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Events kept for readers that are slower than the changes.
const KEPT_EVENTS: usize = 256;

/// Downloads that are over and still shown.
const KEPT_DOWNLOADS: usize = 20;

/// Everything as it is, at a number.
#[derive(Clone, Debug, Default)]
struct Picture {
    sequence: u64,
    models: BTreeMap<ModelName, Model>,
    memory: Vec<MemoryBreakdown>,
    downloads: BTreeMap<DownloadId, Download>,
    activities: BTreeMap<ActivityId, Activity>,
    /// Those that want an answer.
    notifications: BTreeMap<NotificationId, Notification>,
    paused: Option<Pause>,
    http: HttpStatus,
    shutting_down: bool,
}

/// The writing side; every domain that changes something has one.
#[derive(Clone, Debug)]
pub struct Publisher {
    picture: watch::Sender<Picture>,
    events: broadcast::Sender<Arc<WatchMessage>>,
    ended: CancellationToken,
}

/// The reading side.
#[derive(Clone, Debug)]
pub struct Hub {
    picture: watch::Receiver<Picture>,
    events: broadcast::Sender<Arc<WatchMessage>>,
    ended: CancellationToken,
}

/// An empty picture, to be written and to be read.
#[must_use]
pub fn hub() -> (Publisher, Hub) {
    let (picture, reader) = watch::channel(Picture::default());
    let (events, _) = broadcast::channel(KEPT_EVENTS);
    let ended = CancellationToken::new();
    let hub = Hub {
        picture: reader,
        events: events.clone(),
        ended: ended.clone(),
    };
    (
        Publisher {
            picture,
            events,
            ended,
        },
        hub,
    )
}

impl Publisher {
    /// Puts an event into the picture and tells everybody.
    pub fn publish(&self, event: Event) {
        self.picture.send_modify(|picture| {
            picture.sequence += 1;
            picture.apply(&event);
            // In here, so that several writers cannot send out of order. It fails if nobody
            // watches, which is fine.
            drop(self.events.send(Arc::new(WatchMessage {
                sequence: picture.sequence,
                payload: WatchPayload::Event(event),
            })));
        });
    }

    /// Corrects a number that is not worth an event, such as memory in use.
    pub fn refresh(&self, model: Model) {
        self.picture.send_modify(|picture| {
            picture.models.insert(model.name.clone(), model);
        });
    }

    /// Corrects the memory figures without an event.
    pub fn refresh_memory(&self, memory: Vec<MemoryBreakdown>) {
        self.picture.send_modify(|picture| picture.memory = memory);
    }

    /// Ends every watch when dropped.
    #[must_use]
    pub fn end_guard(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }
}

impl Picture {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::ModelChanged { model, .. } => {
                self.models.insert(model.name.clone(), (**model).clone());
            }
            Event::ModelRemoved(name) => {
                self.models.remove(name);
            }
            Event::MemoryChanged(memory) => self.memory.clone_from(memory),
            Event::DownloadChanged(download) => {
                self.downloads.insert(download.id, (**download).clone());
                self.forget_old_downloads();
            }
            Event::ActivityChanged(activity) => {
                self.activities.insert(activity.id, (**activity).clone());
            }
            Event::ActivityEnded(id) => {
                self.activities.remove(id);
            }
            Event::NotificationChanged(notification) if notification.state.is_open() => {
                self.notifications
                    .insert(notification.id, (**notification).clone());
            }
            Event::NotificationChanged(notification) => {
                self.notifications.remove(&notification.id);
            }
            Event::PauseChanged(paused) => self.paused = *paused,
            Event::HttpChanged(http) => self.http.clone_from(http),
            Event::ShuttingDown { .. } => self.shutting_down = true,
        }
    }

    fn forget_old_downloads(&mut self) {
        let over =
            |download: &Download| matches!(download.state, DownloadState::Done | DownloadState::Cancelled);
        let old: Vec<DownloadId> = self
            .downloads
            .values()
            .filter(|download| over(download))
            .map(|download| download.id)
            .rev()
            .skip(KEPT_DOWNLOADS)
            .collect();
        for id in old {
            self.downloads.remove(&id);
        }
    }
}

impl Hub {
    #[must_use]
    pub fn models(&self) -> Vec<Model> {
        self.picture.borrow().models.values().cloned().collect()
    }

    #[must_use]
    pub fn model(&self, name: &ModelName) -> Option<Model> {
        self.picture.borrow().models.get(name).cloned()
    }

    /// What is worked on besides models and downloads.
    #[must_use]
    pub fn activities(&self) -> Vec<Activity> {
        self.picture.borrow().activities.values().cloned().collect()
    }

    #[must_use]
    pub fn memory(&self) -> Vec<MemoryBreakdown> {
        self.picture.borrow().memory.clone()
    }

    /// The pause that is in force.
    #[must_use]
    pub fn paused(&self) -> Option<Pause> {
        self.picture.borrow().paused
    }

    /// Where the HTTP API answers.
    #[must_use]
    pub fn http(&self) -> HttpStatus {
        self.picture.borrow().http.clone()
    }

    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.picture.borrow().shutting_down
    }

    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch {
            events: self.events.subscribe(),
            hub: self.clone(),
            seen: None,
        }
    }
}

/// A snapshot, then every later event in order; a fresh snapshot after falling behind.
#[derive(Debug)]
pub struct Watch {
    hub: Hub,
    events: broadcast::Receiver<Arc<WatchMessage>>,
    /// The number everything up to which was handed out; `None` before the first snapshot.
    seen: Option<u64>,
}

impl Watch {
    /// The next message; `None` once the daemon has ended all models.
    pub async fn next(&mut self) -> Option<WatchMessage> {
        let Some(seen) = self.seen else {
            return Some(self.snapshot());
        };
        loop {
            let received = tokio::select! {
                biased;
                received = self.events.recv() => received,
                () = self.hub.ended.cancelled() => return None,
            };
            match received {
                Ok(message) if message.sequence <= seen => {}
                Ok(message) => {
                    self.seen = Some(message.sequence);
                    return Some((*message).clone());
                }
                Err(broadcast::error::RecvError::Lagged(missed)) => {
                    tracing::debug!(missed, "a watcher fell behind and gets a fresh snapshot");
                    self.events = self.hub.events.subscribe();
                    return Some(self.snapshot());
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    fn snapshot(&mut self) -> WatchMessage {
        let picture = self.hub.picture.borrow().clone();
        self.seen = Some(picture.sequence);
        WatchMessage {
            sequence: picture.sequence,
            payload: WatchPayload::Snapshot(Snapshot {
                models: picture.models.into_values().collect(),
                memory: picture.memory,
                downloads: picture.downloads.into_values().collect(),
                activities: picture.activities.into_values().collect(),
                notifications: picture.notifications.into_values().collect(),
                paused: picture.paused,
                http: picture.http,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event() -> Event {
        Event::ShuttingDown {
            grace: Duration::ZERO,
        }
    }

    #[tokio::test]
    async fn a_snapshot_comes_first_and_then_only_what_it_does_not_contain() {
        let (publisher, hub) = hub();
        publisher.publish(event());
        let mut watch = hub.watch();
        publisher.publish(event());
        let first = watch.next().await.unwrap();
        assert_eq!(
            (first.sequence, matches!(first.payload, WatchPayload::Snapshot(_))),
            (2, true)
        );
        publisher.publish(event());
        assert_eq!(watch.next().await.unwrap().sequence, 3);
    }

    #[tokio::test]
    async fn who_falls_behind_gets_a_fresh_snapshot_and_no_gap_after_it() {
        let (publisher, hub) = hub();
        let mut watch = hub.watch();
        watch.next().await.unwrap();
        for _ in 0..KEPT_EVENTS + 1 {
            publisher.publish(event());
        }
        let resync = watch.next().await.unwrap();
        assert!(matches!(resync.payload, WatchPayload::Snapshot(_)));
        assert_eq!(resync.sequence, KEPT_EVENTS as u64 + 1);
        publisher.publish(event());
        assert_eq!(watch.next().await.unwrap().sequence, resync.sequence + 1);
    }

    #[tokio::test]
    async fn events_before_the_end_are_delivered_and_then_the_watch_ends() {
        let (publisher, hub) = hub();
        let mut watch = hub.watch();
        watch.next().await.unwrap();
        let guard = publisher.end_guard();
        publisher.publish(event());
        drop(guard);
        assert_eq!(watch.next().await.unwrap().sequence, 1);
        assert_eq!(watch.next().await, None);
    }
}
