use airunner_core::hardware::Device;
use airunner_core::memory::MemoryReading;

use super::super::Found;

/// No model runs on these GPUs here.
pub(super) fn found() -> Found {
    Found::default()
}

pub(super) const fn readings(_own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
    Vec::new()
}
