//! AMD GPUs: what the kernel says, or else what the vendor's tool prints.

use airunner_core::hardware::Device;
use airunner_core::memory::MemoryReading;

use super::Found;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

pub(super) fn found() -> Found {
    os::found()
}

/// Only what the kernel says: the tool takes too long to be asked again and again.
pub(super) fn readings(own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
    os::readings(own_pids)
}
