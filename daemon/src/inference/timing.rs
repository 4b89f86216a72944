//! What a request waited for before its worker saw it.

use std::time::Duration;

use airunner_core::generate::{Done, Timings};
use tokio::time::Instant;

/// Splits the time from arrival to grant into queueing and loading.
pub(super) struct Wait {
    arrived: Instant,
    loading_since: Option<Instant>,
}

impl Wait {
    pub(super) fn start() -> Self {
        Self {
            arrived: Instant::now(),
            loading_since: None,
        }
    }

    /// The model is being loaded.
    pub(super) fn loads(&mut self) {
        self.loading_since.get_or_insert_with(Instant::now);
    }

    /// The model is there.
    pub(super) fn granted(self) -> Waited {
        let now = Instant::now();
        let load = self.loading_since.map_or(Duration::ZERO, |since| now - since);
        Waited {
            load,
            queue: (now - self.arrived).saturating_sub(load),
        }
    }
}

/// What a request waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waited {
    load: Duration,
    queue: Duration,
}

impl Waited {
    /// Adds it to what the worker measured, which began with the grant.
    pub(super) fn add_to(self, done: Done) -> Done {
        let timings = Timings {
            load: done.timings.load + self.load,
            queue: done.timings.queue + self.queue,
            first_token: done.timings.first_token + self.load + self.queue,
            ..done.timings
        };
        Done { timings, ..done }
    }
}
