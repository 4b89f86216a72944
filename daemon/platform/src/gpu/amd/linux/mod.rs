use std::path::Path;

use airunner_core::hardware::Device;
use airunner_core::memory::MemoryReading;

use super::super::Found;

mod kernel;
mod rocm_smi;

/// There if the compute driver is.
const COMPUTE_DRIVER: &str = "/dev/kfd";
const KERNEL_FILES: &str = "/sys/class";

pub(super) fn found() -> Found {
    let gpus = kernel::gpus(Path::new(KERNEL_FILES));
    if gpus.is_empty() && Path::new(COMPUTE_DRIVER).exists() {
        return rocm_smi::found();
    }
    Found {
        gpus,
        ..Found::default()
    }
}

pub(super) fn readings(own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
    kernel::readings(Path::new(KERNEL_FILES), own_pids)
}
