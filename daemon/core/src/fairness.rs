//! Turns of clients who share something, however much each of them asks for.

use std::collections::BTreeMap;

use crate::generate::ClientId;

/// What a request takes of its client's time.
pub const REQUEST: u64 = 8;
/// What passes at least when one is served: time goes on although only new clients come.
const LEAST: u64 = 1;
/// Clients that are remembered before those are forgotten whose time has passed.
const CLIENTS: usize = 256;

/// Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996) with requests as what is
/// shared: the next request of a client starts where its last one ended, but not before the time
/// that has come. So whoever asks for much waits behind its own requests, and who asks for the
/// first time in a while is next.
#[derive(Clone, Debug, Default)]
pub struct Clients {
    now: u64,
    /// Where the next request of a client starts.
    next: BTreeMap<ClientId, u64>,
}

impl Clients {
    /// When a request starts that this client makes: those that start earlier come first. If none
    /// of its requests `waits`, those that ended without a turn do not count against it.
    pub fn start(&mut self, client: ClientId, waits: bool) -> u64 {
        let next = self.next.get(&client).copied().unwrap_or(0);
        let owed = if waits {
            next
        } else {
            next.min(self.now.saturating_add(REQUEST))
        };
        let start = owed.max(self.now);
        if self.next.len() >= CLIENTS {
            let now = self.now;
            self.next.retain(|_, next| *next > now);
        }
        self.next.insert(client, start.saturating_add(REQUEST));
        start
    }

    /// The request that starts then has its turn.
    pub fn serve(&mut self, start: u64) {
        self.now = self.now.saturating_add(LEAST).max(start);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(number: u32) -> ClientId {
        ClientId::program(number)
    }

    #[test]
    fn who_asked_for_much_waits_behind_itself() {
        let mut clients = Clients::default();
        let many: Vec<u64> = (0..100).map(|_| clients.start(client(1), true)).collect();
        assert!(many.is_sorted());
        many[..5].iter().for_each(|start| clients.serve(*start));
        let other = clients.start(client(2), false);
        assert!(other >= many[4] && other < many[5]);
    }

    #[test]
    fn what_was_not_served_does_not_count() {
        let mut clients = Clients::default();
        for _ in 0..100 {
            clients.start(client(1), true);
        }
        let (late, new) = (clients.start(client(1), false), clients.start(client(2), false));
        assert!(late <= new + REQUEST, "{late} {new}");
    }

    proptest! {
        /// Two that always ask are served alike, however many requests each of them has waiting.
        #[test]
        fn those_who_always_ask_have_the_same(backlogs in [1..50_usize, 1..50_usize], rounds in 20..200_usize) {
            let mut clients = Clients::default();
            let mut waiting: Vec<(u64, usize)> = Vec::new();
            for (who, backlog) in backlogs.into_iter().enumerate() {
                for _ in 0..backlog {
                    waiting.push((clients.start(client(who as u32), true), who));
                }
            }
            let mut served = [0_usize; 2];
            for _ in 0..rounds {
                waiting.sort_unstable();
                let (start, who) = waiting.remove(0);
                clients.serve(start);
                served[who] += 1;
                waiting.push((clients.start(client(who as u32), true), who));
            }
            prop_assert!(served[0].abs_diff(served[1]) <= 1, "{:?}", served);
        }

        #[test]
        fn the_memory_of_clients_is_bounded(count in 0..2000_u32) {
            let mut clients = Clients::default();
            for number in 0..count {
                let start = clients.start(client(number), false);
                clients.serve(start);
            }
            prop_assert!(clients.next.len() <= CLIENTS + 1);
        }
    }
}
