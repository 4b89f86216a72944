use std::time::{Duration, SystemTime};

/// A delay that no busy machine explains.
const UNUSUAL: Duration = Duration::from_secs(30);

/// The time of day, which goes on while the machine sleeps. Somebody who changes it causes one
/// needless look.
#[derive(Debug)]
pub(super) struct Clocks {
    now: SystemTime,
}

impl Clocks {
    pub(super) fn read() -> Self {
        Self {
            now: SystemTime::now(),
        }
    }

    pub(super) fn slept_since(&self, earlier: &Self, interval: Option<Duration>) -> Duration {
        let Some(interval) = interval else {
            return Duration::ZERO;
        };
        let elapsed = self.now.duration_since(earlier.now).unwrap_or_default();
        let late = elapsed.saturating_sub(interval);
        if late > UNUSUAL { late } else { Duration::ZERO }
    }
}
