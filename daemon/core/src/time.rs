//! Time as an argument.

use std::time::Duration;

/// A point on the daemon's monotonic clock: time since the daemon started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    #[must_use]
    pub const fn since_start(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// Time since the daemon started.
    #[must_use]
    pub const fn elapsed_since_start(self) -> Duration {
        self.0
    }

    /// This moment and a while; at the end of time if that is beyond it.
    #[must_use]
    pub const fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(wait))
    }

    /// How long ago `earlier` was; zero if it is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
