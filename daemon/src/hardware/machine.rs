//! The system as the actor sees it; a trait, so that tests bring their own.

use std::pin::Pin;
use std::time::Duration;

use airunner_core::hardware::Hardware as Profile;
use airunner_platform::memory::Monitor;
use airunner_platform::pressure::Pressure;
use airunner_platform::suspend::Suspension;

use super::Readings;

/// Run where it may block.
pub(super) type Profiler = Box<dyn FnOnce() -> Profile + Send>;

pub(super) trait Machine: Send + Sync {
    fn profiler(&self) -> Profiler;
    fn reader(&self) -> Box<dyn Reader>;
    fn listener(&self) -> Box<dyn Listener>;
}

/// Asked where it may block.
pub(super) trait Reader: Send {
    fn read(&mut self, own_pids: &[u32]) -> Readings;

    /// True if the machine slept since the last call, which was `interval` ago if all is normal.
    fn has_resumed(&mut self, interval: Option<Duration>) -> bool;
}

pub(super) trait Listener: Send {
    /// Resolves when memory may be short. Dropping the future loses nothing.
    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// The one this runs on.
pub(super) struct ThisMachine;

impl Machine for ThisMachine {
    fn profiler(&self) -> Profiler {
        Box::new(airunner_platform::hardware::probe)
    }

    fn reader(&self) -> Box<dyn Reader> {
        Box::new(SystemReader::default())
    }

    fn listener(&self) -> Box<dyn Listener> {
        let pressure = Pressure::listen();
        tracing::debug!(means = pressure.means(), "listening for memory pressure");
        Box::new(SystemListener { pressure })
    }
}

#[derive(Debug, Default)]
struct SystemReader {
    memory: Monitor,
    suspension: Suspension,
}

impl Reader for SystemReader {
    fn read(&mut self, own_pids: &[u32]) -> Readings {
        self.memory.read(own_pids)
    }

    fn has_resumed(&mut self, interval: Option<Duration>) -> bool {
        self.suspension.has_resumed(interval)
    }
}

#[derive(Debug)]
struct SystemListener {
    pressure: Pressure,
}

impl Listener for SystemListener {
    fn next(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.pressure.next())
    }
}
