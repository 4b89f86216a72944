//! Following the daemon's state, over its restarts too.

use airunner_core::event::{Event, Snapshot, WatchMessage, WatchPayload};
use airunner_core::{ErrorKind, Fault};
use airunner_platform::Endpoint;

use crate::Client;
use crate::comeback::Comeback;
use crate::events::Events;

/// What a watcher learns.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Everything: forget what was known before. The first update of every connection, and sent
    /// again by the daemon to a reader that fell behind.
    Snapshot(Box<Snapshot>),
    /// One change to what the last snapshot said.
    Event(Event),
    /// The daemon went away, or was not there. Said once; a snapshot follows when it is back.
    Disconnected(Fault),
}

/// An endless watch: it connects, and connects again when the daemon goes away, ever more
/// slowly: up to once in ten seconds, or where the system says when a daemon comes, then and next
/// to never otherwise. An event that is missing costs a fresh snapshot and is never skipped
/// silently.
#[derive(Debug)]
pub struct Watch {
    comeback: Comeback,
    /// `None` while the daemon is away.
    link: Option<Link>,
    /// The outage is known to the reader.
    told: bool,
}

#[derive(Debug)]
struct Link {
    events: Events<WatchMessage>,
    order: Order,
}

impl Watch {
    /// Follows the daemon at an endpoint, whether or not it runs yet.
    #[must_use]
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            comeback: Comeback::new(endpoint),
            link: None,
            told: false,
        }
    }

    /// The next update. Dropping the future loses none.
    pub async fn next(&mut self) -> Update {
        loop {
            let outcome = match &mut self.link {
                None => {
                    self.comeback.due().await;
                    self.subscribe().await.map(|()| None)
                }
                Some(link) => next_in_order(link).await.map(Some),
            };
            match outcome {
                Ok(None) => {}
                Ok(Some(WatchPayload::Snapshot(snapshot))) => {
                    self.comeback.succeeded();
                    self.told = false;
                    return Update::Snapshot(Box::new(snapshot));
                }
                Ok(Some(WatchPayload::Event(event))) => return Update::Event(event),
                Err(Trouble::Gap) => self.hang_up(ErrorKind::Internal),
                Err(Trouble::Gone(fault)) => {
                    self.hang_up(fault.kind);
                    if !std::mem::replace(&mut self.told, true) {
                        return Update::Disconnected(fault);
                    }
                }
            }
        }
    }

    async fn subscribe(&mut self) -> Result<(), Trouble> {
        let endpoint = self.comeback.endpoint();
        let events = async { Client::connect(endpoint).await?.control().subscribe().await };
        let events = events.await.map_err(Trouble::Gone)?;
        self.link = Some(Link {
            events,
            order: Order::default(),
        });
        Ok(())
    }

    fn hang_up(&mut self, reason: ErrorKind) {
        self.link = None;
        self.comeback.failed(reason);
    }
}

#[derive(Debug)]
enum Trouble {
    /// An event is missing: subscribe again for a fresh snapshot.
    Gap,
    Gone(Fault),
}

async fn next_in_order(link: &mut Link) -> Result<WatchPayload, Trouble> {
    let Link { events, order } = link;
    let ended = || Trouble::Gone(Fault::internal("the watch has no end"));
    let message = events.next().await.ok_or_else(ended)?.map_err(Trouble::Gone)?;
    if order.admits(&message) {
        Ok(message.payload)
    } else {
        Err(Trouble::Gap)
    }
}

/// Which message comes next on one subscription.
#[derive(Debug, Default)]
struct Order {
    next: Option<u64>,
}

impl Order {
    /// A snapshot always fits; an event only if it is the one after the last message.
    fn admits(&mut self, message: &WatchMessage) -> bool {
        let fits = match message.payload {
            WatchPayload::Snapshot(_) => true,
            WatchPayload::Event(_) => self.next == Some(message.sequence),
        };
        self.next = message.sequence.checked_add(1);
        fits
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn message(sequence: u64, payload: WatchPayload) -> WatchMessage {
        WatchMessage { sequence, payload }
    }

    fn event(sequence: u64) -> WatchMessage {
        message(
            sequence,
            WatchPayload::Event(Event::ShuttingDown {
                grace: Duration::ZERO,
            }),
        )
    }

    fn snapshot(sequence: u64) -> WatchMessage {
        message(sequence, WatchPayload::Snapshot(Snapshot::default()))
    }

    #[test]
    fn events_follow_their_snapshot_without_a_gap() {
        let mut order = Order::default();
        for (message, fits) in [
            (event(1), false),
            (snapshot(5), true),
            (event(6), true),
            (event(7), true),
            (event(9), false),
            (snapshot(20), true),
            (event(21), true),
            (event(21), false),
        ] {
            assert_eq!(order.admits(&message), fits, "{message:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_told_once() {
        let nowhere = std::env::temp_dir().join("airunner-nobody-listens-here.sock");
        let mut watch = Watch::new(Endpoint::at(nowhere));
        assert!(matches!(watch.next().await, Update::Disconnected(_)));
        let second = tokio::time::timeout(Duration::from_secs(60), watch.next()).await;
        assert!(second.is_err(), "{second:?}");
    }
}
