//! GPUs and their memory, whoever made them. No GPU and no driver is a normal answer.

use airunner_core::hardware::{Device, Gpu};
use airunner_core::memory::MemoryReading;

mod amd;
mod nvidia;

use nvidia::Nvidia;

/// What was found, and what could not be found out.
#[derive(Debug, Default)]
pub struct Found {
    pub gpus: Vec<Gpu>,
    /// For a person.
    pub notes: Vec<String>,
    /// True if a GPU computes in main memory.
    pub unified: bool,
}

/// The drivers, opened when they are asked, and let go when they are not asked for a while.
#[derive(Debug, Default)]
pub struct Gpus {
    nvidia: Nvidia,
}

impl Gpus {
    /// Everything the drivers say. Takes seconds at worst, if a driver hangs.
    #[must_use]
    pub fn list(&mut self) -> Found {
        let mut found = self.nvidia.found();
        let amd = amd::found();
        found.gpus.extend(amd.gpus);
        found.notes.extend(amd.notes);
        found
    }

    /// Memory of each GPU that has its own.
    #[must_use]
    pub fn readings(&mut self, own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
        let mut readings = self.nvidia.readings(own_pids);
        readings.extend(amd::readings(own_pids));
        readings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_listed_is_within_bounds_on_any_machine() {
        let mut gpus = Gpus::default();
        let found = gpus.list();
        assert!(found.gpus.iter().all(|gpu| gpu.free_bytes <= gpu.total_bytes));
        for (device, reading) in gpus.readings(&[]) {
            assert!(reading.total_bytes > 0, "{device}");
            assert!(reading.available_bytes <= reading.total_bytes, "{device}");
        }
    }
}
