//! Not now, but later.

use std::time::{Duration, SystemTime};

/// Shown again after a while, by the time of day of the machine. A clock that was put back before
/// the moment somebody asked shows it at once: too early is better than never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    pub since: SystemTime,
    pub until: SystemTime,
}

impl Deferral {
    /// From now on, for so long; a clock that cannot count that far does not defer.
    #[must_use]
    pub fn new(now: SystemTime, wait: Duration) -> Self {
        Self {
            since: now,
            until: now.checked_add(wait).unwrap_or(now),
        }
    }

    /// Time to go; `None` if it is over.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        if now < self.since {
            return None;
        }
        self.until.duration_since(now).ok().filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn it_is_over_when_its_time_has_come_or_the_clock_was_put_back() {
        let deferral = Deferral::new(at(1000), Duration::from_secs(600));
        for (now, left) in [
            (1000, Some(600)),
            (1599, Some(1)),
            (1600, None),
            (99_999_999, None),
            (999, None),
            (0, None),
        ] {
            assert_eq!(
                deferral.remaining(at(now)),
                left.map(Duration::from_secs),
                "{now}"
            );
        }
    }

    #[test]
    fn a_wait_beyond_the_end_of_time_is_none() {
        assert_eq!(Deferral::new(at(5), Duration::MAX).remaining(at(5)), None);
    }
}
