//! How many WebSockets there may be, altogether and of one client.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::guard::Holder;

/// WebSockets at once.
const ALL: usize = 512;
/// Of these, those of one key, and of all clients at one address of another machine.
const SHARE: usize = 128;
/// Of these, those of the user of this machine, whose programs share one token.
const LOCAL_SHARE: usize = 384;
/// Holders remembered before those without WebSockets are forgotten.
const REMEMBERED: usize = 1024;
/// When one more may be tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The places for WebSockets.
#[derive(Clone)]
pub(super) struct Places(Arc<Inner>);

struct Inner {
    all: Arc<Semaphore>,
    /// Held for a look-up only.
    shares: Mutex<HashMap<Holder, Arc<Semaphore>>>,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permits: Vec<OwnedSemaphorePermit>,
}

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Inner {
            all: Arc::new(Semaphore::new(ALL)),
            shares: Mutex::default(),
        }))
    }
}

impl Places {
    /// One of all places, and one of each holder's share.
    pub(super) fn take(&self, holders: impl Iterator<Item = Holder>) -> Result<Place, Fault> {
        let mut permits = Vec::new();
        for holder in holders {
            let (share, whose) = (share(holder), whose(holder));
            let permit = self.of(holder).try_acquire_owned();
            permits.push(permit.map_err(|_| full(&format!("{share} WebSockets of {whose} are open")))?);
        }
        let permit = Arc::clone(&self.0.all).try_acquire_owned();
        permits.push(permit.map_err(|_| full(&format!("{ALL} WebSockets are open")))?);
        Ok(Place { _permits: permits })
    }

    fn of(&self, holder: Holder) -> Arc<Semaphore> {
        let mut shares = self.0.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= REMEMBERED {
            shares.retain(|holder, semaphore| semaphore.available_permits() < share(*holder));
        }
        let semaphore = shares
            .entry(holder)
            .or_insert_with(|| Arc::new(Semaphore::new(share(holder))));
        Arc::clone(semaphore)
    }
}

const fn share(holder: Holder) -> usize {
    match holder {
        Holder::Local => LOCAL_SHARE,
        Holder::Key(_) | Holder::Address(_) => SHARE,
    }
}

const fn whose(holder: Holder) -> &'static str {
    match holder {
        Holder::Local => "the programs of this machine",
        Holder::Key(_) => "this key",
        Holder::Address(_) => "this address",
    }
}

fn full(what: &str) -> Fault {
    let fault = Fault::new(ErrorKind::QueueFull, format!("{what}: close one, or try again"));
    fault.retry_after(RETRY_AFTER)
}

#[cfg(test)]
mod tests {
    use airunner_core::access::KeyId;

    use super::*;

    fn fill(places: &Places, holders: &[Holder]) -> Vec<Place> {
        std::iter::from_fn(|| places.take(holders.iter().copied()).ok()).collect()
    }

    #[test]
    fn nobody_can_take_the_places_of_all() {
        let places = Places::default();
        let local = fill(&places, &[Holder::Local]);
        assert_eq!(local.len(), LOCAL_SHARE);
        let key = fill(&places, &[Holder::Key(KeyId(1))]);
        assert_eq!(key.len(), SHARE);
        drop(local);
        let refused = places.take([Holder::Key(KeyId(1))].into_iter()).unwrap_err();
        assert_eq!(refused.kind, ErrorKind::QueueFull);
        assert!(
            refused.retry_after.is_some() && refused.message.contains("this key"),
            "{refused}"
        );
        drop(key);
        assert!(places.take([Holder::Key(KeyId(1))].into_iter()).is_ok());
    }

    #[test]
    fn many_keys_at_one_address_share_what_it_may_have() {
        let places = Places::default();
        let address = Holder::Address([192, 0, 2, 1].into());
        let held: Vec<Place> = (0..400)
            .filter_map(|key| places.take([Holder::Key(KeyId(key)), address].into_iter()).ok())
            .collect();
        assert_eq!(held.len(), SHARE);
        assert!(places.take([Holder::Key(KeyId(1))].into_iter()).is_ok());
    }

    #[test]
    fn holders_without_sockets_are_forgotten() {
        let places = Places::default();
        for key in 0..5000 {
            drop(places.take([Holder::Key(KeyId(key))].into_iter()));
        }
        assert!(places.0.shares.lock().unwrap().len() <= REMEMBERED);
    }
}
