//! How many connections there may be, altogether and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::io::Room;
use crate::http::guard::neighbourhood;
use crate::metrics::Metrics;

/// The share of all connections that one other machine may have.
const SHARE: usize = 4;
const SHARE_MIN: usize = 8;
/// Addresses remembered before those without connections are forgotten.
const REMEMBERED: usize = 1024;

/// Room for connections.
pub(super) struct Rooms {
    all: Arc<Semaphore>,
    share: usize,
    /// Held for a look-up only, by those who accept.
    addresses: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    metrics: Metrics,
}

impl Rooms {
    pub(super) fn new(connections: usize, metrics: Metrics) -> Self {
        Self {
            all: Arc::new(Semaphore::new(connections)),
            share: (connections / SHARE).max(SHARE_MIN),
            addresses: Mutex::default(),
            metrics,
        }
    }

    /// `None` if there is no more. Programs of this machine share one address and may have all.
    pub(super) fn take(&self, address: IpAddr) -> Option<Room> {
        let room = self.find(address);
        if room.is_none() {
            self.metrics.refused_connection();
        }
        room
    }

    fn find(&self, address: IpAddr) -> Option<Room> {
        let own = if address.to_canonical().is_loopback() {
            None
        } else {
            Some(self.of(neighbourhood(address)).try_acquire_owned().ok()?)
        };
        Some(Room {
            _all: Arc::clone(&self.all).try_acquire_owned().ok()?,
            _address: own,
            _counted: self.metrics.connection(),
        })
    }

    fn of(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= REMEMBERED {
            addresses.retain(|_, semaphore| semaphore.available_permits() < self.share);
        }
        let semaphore = addresses
            .entry(address)
            .or_insert_with(|| Arc::new(Semaphore::new(self.share)));
        Arc::clone(semaphore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_cannot_take_the_room_of_all() {
        let rooms = Rooms::new(40, Metrics::default());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut held: Vec<Room> = Vec::new();
        while let Some(room) = rooms.take(address("192.0.2.1")) {
            held.push(room);
        }
        assert_eq!(held.len(), 10);
        assert!(rooms.take(address("::ffff:192.0.2.1")).is_none());
        held.pop();
        assert!(rooms.take(address("192.0.2.1")).is_some());
        while let Some(room) = rooms.take(address("127.0.0.1")) {
            held.push(room);
        }
        assert_eq!(held.len(), 40);
        assert!(rooms.take(address("192.0.2.2")).is_none());
    }

    #[test]
    fn a_machine_has_one_share_however_many_addresses_it_has() {
        let rooms = Rooms::new(40, Metrics::default());
        let address = |number: u16| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, number]);
        let held: Vec<Room> = (0..40).filter_map(|number| rooms.take(address(number))).collect();
        assert_eq!(held.len(), 10);
        assert!(rooms.take("2001:db8:0:1::1".parse().unwrap()).is_some());
        let local: Vec<_> = (0..30)
            .filter_map(|_| rooms.take("::1".parse().unwrap()))
            .collect();
        assert_eq!(local.len(), 30);
    }

    #[test]
    fn addresses_without_connections_are_forgotten() {
        let rooms = Rooms::new(40, Metrics::default());
        for number in 0..5000_u32 {
            drop(rooms.take(IpAddr::V4(number.into())));
        }
        assert!(rooms.addresses.lock().unwrap().len() <= REMEMBERED);
    }
}
