//! Who comes before whom: one order for admission, for prompts and for who gives way.

use airunner_core::Priority;

/// So many requests later, one of the next lower class has the better turn.
const HEAD_START: u64 = 32;

/// The place of a request in the order of all, given once. A higher class is ahead of a lower
/// one by a number of arrivals, so no class waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Turn {
    due: u64,
    arrival: u64,
}

impl Turn {
    /// `arrival` counts requests.
    pub(super) fn new(priority: Priority, arrival: u64) -> Self {
        let behind = match priority {
            Priority::Interactive => 0,
            Priority::Api => 1,
            Priority::Background => 2,
        };
        Self {
            due: arrival + behind * HEAD_START,
            arrival,
        }
    }

    /// Different for every request.
    pub(super) fn number(self) -> u64 {
        self.arrival
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_classes_come_first_and_none_waits_for_ever() {
        let background = Turn::new(Priority::Background, 10);
        let api = Turn::new(Priority::Api, 20);
        let interactive = Turn::new(Priority::Interactive, 30);
        assert!(interactive < api && api < background);
        assert!(Turn::new(Priority::Api, 19) < api, "in a class, who came first");
        let late = Turn::new(Priority::Interactive, 10 + 2 * HEAD_START);
        assert!(background < late, "waited long enough");
    }
}
