//! Who comes before whom: one order for admission, for prompts and for who gives way.
//!
//! Clients share a model as they share the daemon's queue: whoever asks for much waits behind its
//! own requests.

use airunner_core::Priority;
use airunner_core::fairness::{Clients, REQUEST};
use airunner_core::generate::ClientId;

/// So many requests later, one of the next lower class has the better turn.
const HEAD_START: u64 = 32 * REQUEST;

/// The place of a request in the order of all, given once. A higher class is ahead of a lower
/// one by a number of requests, so no class waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Turn {
    due: u64,
    arrival: u64,
    start: u64,
}

impl Turn {
    fn new(priority: Priority, start: u64, arrival: u64) -> Self {
        let behind = match priority {
            Priority::Interactive => 0,
            Priority::Api => 1,
            Priority::Background => 2,
        };
        Self {
            due: start + behind * HEAD_START,
            arrival,
            start,
        }
    }

    /// Different for every request.
    pub(super) fn number(self) -> u64 {
        self.arrival
    }
}

/// Gives turns out.
#[derive(Debug, Default)]
pub(super) struct Turns {
    arrivals: u64,
    clients: Clients,
}

impl Turns {
    pub(super) fn give(&mut self, client: ClientId, priority: Priority) -> Turn {
        let turn = Turn::new(priority, self.clients.start(client, true), self.arrivals);
        self.arrivals += 1;
        turn
    }

    /// The request with this turn is at work.
    pub(super) fn serve(&mut self, turn: Turn) {
        self.clients.serve(turn.start);
    }
}

#[cfg(test)]
pub(super) fn turn(priority: Priority, number: u64) -> Turn {
    Turn::new(priority, number * REQUEST, number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn client(number: u32) -> ClientId {
        ClientId::program(number)
    }

    #[test]
    fn higher_classes_come_first_and_none_waits_for_ever() {
        let background = turn(Priority::Background, 10);
        let api = turn(Priority::Api, 20);
        let interactive = turn(Priority::Interactive, 30);
        assert!(interactive < api && api < background);
        assert!(turn(Priority::Api, 19) < api, "in a class, who came first");
        let late = turn(Priority::Interactive, 10 + 2 * 32);
        assert!(background < late, "waited long enough");
    }

    #[test]
    fn alone_a_client_s_requests_stay_in_order() {
        let mut turns = Turns::default();
        let given: Vec<Turn> = (0..100).map(|_| turns.give(client(1), Priority::Api)).collect();
        assert!(given.is_sorted());
    }

    #[test]
    fn who_asks_for_much_does_not_hold_up_others() {
        let mut turns = Turns::default();
        let mut waiting: Vec<(u32, Turn)> = (0..500)
            .map(|_| (1, turns.give(client(1), Priority::Api)))
            .collect();
        for (_, turn) in waiting.drain(..8) {
            turns.serve(turn);
        }
        for _ in 0..3 {
            waiting.push((2, turns.give(client(2), Priority::Api)));
        }
        waiting.sort_by_key(|(_, turn)| *turn);
        let places: Vec<usize> = (0..)
            .zip(&waiting)
            .filter(|(_, (who, _))| *who == 2)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(places, [0, 2, 4]);
    }

    #[test]
    fn an_idle_time_is_no_credit() {
        let mut turns = Turns::default();
        for _ in 0..100 {
            let turn = turns.give(client(1), Priority::Api);
            turns.serve(turn);
        }
        let mut both: Vec<(u32, Turn)> = (0..10)
            .flat_map(|_| [1, 2])
            .map(|who| (who, turns.give(client(who), Priority::Api)))
            .collect();
        both.sort_by_key(|(_, turn)| *turn);
        let early = both[..10].iter().filter(|(who, _)| *who == 2).count();
        assert!((4..=6).contains(&early), "{early} of the first ten");
    }

    #[test]
    fn new_clients_do_not_keep_a_lower_class_waiting_for_ever() {
        let mut turns = Turns::default();
        let low = turns.give(client(0), Priority::Background);
        let overtaken = (1..)
            .map(|number| {
                let turn = turns.give(client(number), Priority::Interactive);
                turns.serve(turn);
                turn
            })
            .position(|turn| turn > low);
        assert!(overtaken.is_some_and(|count| count <= 2 * 256));
    }

    proptest! {
        /// Nobody who is at work gives way to a later request of the same class.
        #[test]
        fn turns_of_a_class_are_never_before_those_at_work(
            asks in proptest::collection::vec((0..4_u32, any::<bool>()), 1..200)
        ) {
            let mut turns = Turns::default();
            let mut waiting: Vec<Turn> = Vec::new();
            let mut at_work: Vec<Turn> = Vec::new();
            for (who, serves) in asks {
                let turn = turns.give(client(who), Priority::Api);
                prop_assert!(at_work.iter().all(|other| *other < turn));
                waiting.push(turn);
                waiting.sort();
                if serves {
                    let first = waiting.remove(0);
                    turns.serve(first);
                    at_work.push(first);
                }
            }
        }
    }
}
