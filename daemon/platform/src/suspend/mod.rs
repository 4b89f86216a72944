//! Noticing that the machine slept: drivers may have lost their devices meanwhile.

use std::time::Duration;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Shorter sleep is not worth looking at, and rounding looks like it.
const NOTICED: Duration = Duration::from_secs(1);

/// Knows how long the machine has slept when it was asked last.
#[derive(Debug)]
pub struct Suspension {
    last: os::Clocks,
}

impl Suspension {
    #[must_use]
    pub fn new() -> Self {
        Self {
            last: os::Clocks::read(),
        }
    }

    /// True if the machine slept since the last call. `interval` is how long ago that call should
    /// have been, for systems where only a delay shows it; `None` if any delay is normal.
    pub fn has_resumed(&mut self, interval: Option<Duration>) -> bool {
        let now = os::Clocks::read();
        let slept = now.slept_since(&self.last, interval);
        self.last = now;
        slept > NOTICED
    }
}

impl Default for Suspension {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_a_test_does_not_sleep() {
        let mut suspension = Suspension::new();
        assert!(!suspension.has_resumed(None));
    }
}
