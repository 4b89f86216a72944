//! How often something may appear on the screen.

use std::time::Duration;

use crate::time::Moment;

/// A few at once, and then one after a while: what does not fit waits for the next turn. It
/// counts by the daemon's own clock, which no change of the time of day moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    left: u32,
    /// When the last one was given or came back.
    since: Moment,
}

impl Allowance {
    /// At once.
    pub const MOST: u32 = 3;
    /// Until one more is allowed.
    pub const EVERY: Duration = Duration::from_secs(20);

    #[must_use]
    pub const fn new(now: Moment) -> Self {
        Self {
            left: Self::MOST,
            since: now,
        }
    }

    /// Takes one if there is one.
    pub fn take(&mut self, now: Moment) -> bool {
        self.refill(now);
        if self.left == 0 {
            return false;
        }
        if self.left == Self::MOST {
            self.since = now;
        }
        self.left -= 1;
        true
    }

    /// How long until there is one; zero if there is.
    #[must_use]
    pub fn wait(mut self, now: Moment) -> Duration {
        self.refill(now);
        if self.left > 0 {
            return Duration::ZERO;
        }
        Self::EVERY.saturating_sub(now.since(self.since))
    }

    fn refill(&mut self, now: Moment) {
        while self.left < Self::MOST && now.since(self.since) >= Self::EVERY {
            self.left += 1;
            self.since = self.since.plus(Self::EVERY);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn a_few_at_once_and_then_one_after_a_while() {
        let mut allowance = Allowance::new(at(0));
        assert!((0..3).all(|_| allowance.take(at(100))));
        assert!(!allowance.take(at(119)));
        assert_eq!(allowance.wait(at(105)), Duration::from_secs(15));
        assert!(allowance.take(at(120)));
        assert!(!allowance.take(at(121)));
        assert!((0..3).all(|_| allowance.take(at(1000))));
        assert!(!allowance.take(at(1000)));
    }

    proptest! {
        /// However often it is asked, no more are given than the time allows.
        #[test]
        fn never_more_than_the_time_allows(mut asked in proptest::collection::vec(0_u64..600, 0..200)) {
            asked.sort_unstable();
            let mut allowance = Allowance::new(at(0));
            let given: Vec<u64> = asked.into_iter().filter(|&second| allowance.take(at(second))).collect();
            for (index, first) in given.iter().enumerate() {
                for (count, last) in (1_u64..).zip(&given[index..]) {
                    prop_assert!(count <= u64::from(Allowance::MOST) + (last - first) / 20);
                }
            }
        }
    }
}
