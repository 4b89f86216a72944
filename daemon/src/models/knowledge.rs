//! What the models domain asks of the rest of the daemon.

use std::time::Duration;

use airunner_core::hardware::Device;
use airunner_core::lifecycle::UnloadReason;
use airunner_core::memory::MemoryReading;
use airunner_core::residency::{LoadOption, PackageFacts};
use airunner_core::{Fault, ModelName};
use futures_util::future::BoxFuture;

use super::store::Installed;

/// What a worker took while it lived.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lived {
    pub load_time: Duration,
    /// Right after the load, bytes.
    pub base_bytes: u64,
    /// The most of its life, bytes; 0 while it lives.
    pub peak_bytes: u64,
    /// What estimates were multiplied with, percent.
    pub factor_percent: u64,
}

/// What is known of packages and devices beyond this life of the daemon, and where what is
/// learned goes.
pub trait Knowledge: Send + Sync + 'static {
    /// What a package needs: from its files, or from what was kept of an earlier look, together
    /// with what its loads really took.
    fn facts(&self, installed: &Installed) -> BoxFuture<'static, Result<PackageFacts, Fault>>;

    /// What a load took. Never blocks.
    fn learned(&self, installed: &Installed, option: &LoadOption, lived: Lived);

    /// A load ended. Never blocks.
    fn loaded(&self, model: &ModelName, outcome: Result<Duration, ()>);

    /// A worker is gone. Never blocks.
    fn unloaded(&self, model: &ModelName, reason: &UnloadReason, peak_bytes: u64);

    /// A model was removed. Never blocks.
    fn removed(&self, model: &ModelName);

    /// What main memory is like now; `workers` are the processes that are ours. Takes well under a
    /// millisecond and asks no driver.
    fn main_memory(&self, workers: &[u32]) -> MemoryReading;

    /// A worker's device failed: look at the hardware anew. Never blocks.
    fn device_failed(&self, device: Device);
}
