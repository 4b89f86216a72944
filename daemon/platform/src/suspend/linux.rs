use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One clock goes on while the machine sleeps, the other does not.
#[derive(Debug)]
pub(super) struct Clocks {
    slept: Duration,
}

impl Clocks {
    pub(super) fn read() -> Self {
        let awake = duration(clock_gettime(ClockId::Monotonic));
        let always = duration(clock_gettime(ClockId::Boottime));
        Self {
            slept: always.saturating_sub(awake),
        }
    }

    pub(super) const fn slept_since(&self, earlier: &Self, _interval: Option<Duration>) -> Duration {
        self.slept.saturating_sub(earlier.slept)
    }
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_is_what_one_clock_has_more() {
        let slept = |seconds| Clocks {
            slept: Duration::from_secs(seconds),
        };
        for (before, after, expected) in [(0, 0, 0), (5, 65, 60), (65, 5, 0)] {
            let since = slept(after).slept_since(&slept(before), None);
            assert_eq!(since, Duration::from_secs(expected));
        }
    }
}
