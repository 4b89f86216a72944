//! The machine: what it has, how much memory is left, and that it runs short.
//!
//! One actor asks the system, where asking may block, and tells the owner of the models. While no
//! worker lives it sleeps without any timer. It decides nothing about models.

mod actor;
mod handle;
mod machine;
mod shortage;

#[cfg(test)]
mod tests;

use airunner_core::hardware::Device;
use airunner_core::memory::MemoryReading;
use tokio::sync::watch;

pub use actor::Actor;
pub use handle::Hardware;

/// Memory of each device; main memory is always among them, GPUs while their drivers answer.
pub type Readings = Vec<(Device, MemoryReading)>;

/// Who wants to know how much memory is left. Called from the actor's task: it must not block.
pub trait MemorySink: Send + Sync {
    fn readings(&self, readings: Readings);

    /// So much more should be free on a device, bytes. At most once in 2 s for each.
    fn pressure(&self, device: Device, shortage_bytes: u64);

    /// Our workers; memory is looked at again and again while there are any. The actor ends when
    /// the sender is gone.
    fn worker_pids(&self) -> watch::Receiver<Vec<u32>>;
}

/// Memory of each device, asked now. Blocks: for less than a millisecond without a GPU.
#[must_use]
pub fn read_now(own_pids: &[u32]) -> Readings {
    airunner_platform::memory::read(own_pids)
}
