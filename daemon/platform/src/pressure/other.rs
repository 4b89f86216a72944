use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::memory::Monitor;

const POLL: Duration = Duration::from_secs(1);
/// Less of what there is than this is little.
const LITTLE: u64 = 20;

/// Available memory, looked at once a second.
#[derive(Debug)]
pub(super) struct Listener {
    timer: Interval,
    memory: Monitor,
}

impl Listener {
    pub(super) fn new() -> Self {
        let mut timer = interval(POLL);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            timer,
            memory: Monitor::new(),
        }
    }

    pub(super) const fn means(&self) -> &'static str {
        "the system is asked"
    }

    pub(super) async fn next(&mut self) {
        loop {
            self.timer.tick().await;
            let memory = self.memory.main();
            if memory.available_bytes < memory.total_bytes / LITTLE {
                return;
            }
        }
    }
}
