//! Stops a model that keeps crashing from being started again and again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Moment;

/// Opens after [`LIMIT`](Self::LIMIT) crashes within [`WINDOW`](Self::WINDOW) and closes after
/// [`COOL_DOWN`](Self::COOL_DOWN).
#[derive(Clone, Debug, Default)]
pub struct CrashBreaker {
    recent: VecDeque<Moment>,
    open_until: Option<Moment>,
}

impl CrashBreaker {
    pub const LIMIT: usize = 3;
    pub const WINDOW: Duration = Duration::from_secs(60);
    pub const COOL_DOWN: Duration = Duration::from_secs(60);

    /// Notes a crash. True if this one opened the breaker.
    pub fn crashed(&mut self, now: Moment) -> bool {
        self.recent.push_back(now);
        while self
            .recent
            .front()
            .is_some_and(|&first| now.since(first) > Self::WINDOW)
        {
            self.recent.pop_front();
        }
        if self.recent.len() < Self::LIMIT {
            return false;
        }
        self.recent.clear();
        self.open_until = Some(now.plus(Self::COOL_DOWN));
        true
    }

    /// How long until the model may be tried again; `None` if it may now.
    #[must_use]
    pub fn blocked_for(&self, now: Moment) -> Option<Duration> {
        self.open_until
            .map(|until| until.since(now))
            .filter(|wait| !wait.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::since_start(Duration::from_secs(seconds))
    }

    #[test]
    fn opens_at_the_third_crash_within_a_minute_and_closes_again() {
        let mut breaker = CrashBreaker::default();
        assert!(!breaker.crashed(at(0)));
        assert!(!breaker.crashed(at(30)));
        assert_eq!(breaker.blocked_for(at(30)), None);
        assert!(breaker.crashed(at(60)));
        assert_eq!(breaker.blocked_for(at(61)), Some(Duration::from_secs(59)));
        assert_eq!(breaker.blocked_for(at(120)), None);
        assert!(!breaker.crashed(at(121)), "a closed breaker counts from zero");
    }

    #[test]
    fn crashes_far_apart_do_not_open_it() {
        let mut breaker = CrashBreaker::default();
        for n in 0..20 {
            assert!(!breaker.crashed(at(n * 31)), "{n}");
        }
    }
}
