//! The published picture of all models, and the stream of its changes.
//!
//! A change is first put into the picture and then sent out with its number, so a reader that
//! subscribes first and then looks at the picture misses nothing: it skips the events that the
//! picture already contains.

use std::collections::BTreeMap;
use std::sync::Arc;

use airunner_core::ModelName;
use airunner_core::event::{Event, WatchMessage, WatchPayload};
use airunner_core::model::Model;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Events kept for readers that are slower than the changes.
const KEPT_EVENTS: usize = 256;

/// Everything as it is, at a number.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) sequence: u64,
    pub(super) models: BTreeMap<ModelName, Model>,
    pub(super) shutting_down: bool,
}

/// The writing side. Dropping it ends every watch.
pub(super) struct Publisher {
    picture: watch::Sender<Picture>,
    events: broadcast::Sender<Arc<WatchMessage>>,
    _ended: DropGuard,
}

/// The reading side.
#[derive(Clone, Debug)]
pub(super) struct Hub {
    picture: watch::Receiver<Picture>,
    events: broadcast::Sender<Arc<WatchMessage>>,
    ended: CancellationToken,
}

pub(super) fn hub(models: BTreeMap<ModelName, Model>) -> (Publisher, Hub) {
    let (picture, reader) = watch::channel(Picture {
        models,
        ..Picture::default()
    });
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
            _ended: ended.drop_guard(),
        },
        hub,
    )
}

impl Publisher {
    /// Puts an event into the picture and tells everybody.
    pub(super) fn publish(&self, event: Event) {
        let mut sequence = 0;
        self.picture.send_modify(|picture| {
            picture.sequence += 1;
            sequence = picture.sequence;
            match &event {
                Event::ModelChanged { model, .. } => {
                    picture.models.insert(model.name.clone(), (**model).clone());
                }
                Event::ModelRemoved(name) => {
                    picture.models.remove(name);
                }
                Event::ShuttingDown { .. } => picture.shutting_down = true,
            }
        });
        // It fails if nobody watches, which is fine.
        drop(self.events.send(Arc::new(WatchMessage {
            sequence,
            payload: WatchPayload::Event(event),
        })));
    }

    /// Corrects a number that is not worth an event, such as memory in use.
    pub(super) fn refresh(&self, model: Model) {
        self.picture.send_modify(|picture| {
            picture.models.insert(model.name.clone(), model);
        });
    }
}

impl Hub {
    pub(super) fn models(&self) -> Vec<Model> {
        self.picture.borrow().models.values().cloned().collect()
    }

    pub(super) fn model(&self, name: &ModelName) -> Option<Model> {
        self.picture.borrow().models.get(name).cloned()
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.picture.borrow().shutting_down
    }

    pub(super) fn watch(&self) -> Watch {
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
        let models = picture.models.into_values().collect();
        WatchMessage {
            sequence: picture.sequence,
            payload: WatchPayload::Snapshot(models),
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
        let (publisher, hub) = hub(BTreeMap::new());
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
        let (publisher, hub) = hub(BTreeMap::new());
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
        let (publisher, hub) = hub(BTreeMap::new());
        let mut watch = hub.watch();
        watch.next().await.unwrap();
        publisher.publish(event());
        drop(publisher);
        assert_eq!(watch.next().await.unwrap().sequence, 1);
        assert_eq!(watch.next().await, None);
    }
}
