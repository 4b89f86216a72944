//! Who has how much memory, asked often and cheaply: main memory and that of GPUs.
//!
//! Nothing here walks the table of processes.

use airunner_core::hardware::{Device, MainMemory};
use airunner_core::memory::MemoryReading;

use crate::gpu::Gpus;
use crate::process;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "linux")]
pub(crate) use os::{Groups, Version};
#[cfg(not(target_os = "linux"))]
mod other;
#[cfg(not(target_os = "linux"))]
use other as os;

/// Reads memory again and again; keeps what is costly to open.
#[derive(Debug, Default)]
pub struct Monitor {
    main: os::Main,
    gpus: Gpus,
}

impl Monitor {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Main memory, then each GPU whose driver answers. `own_pids` are our workers; this process
    /// is always one of us. Blocks for microseconds, and where there is a GPU for as long as its
    /// driver takes, within bounds.
    #[must_use]
    pub fn read(&mut self, own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
        let mut readings = vec![(Device::Cpu, self.main_reading(own_pids))];
        readings.extend(self.gpus.readings(own_pids));
        readings
    }

    /// Main memory alone.
    #[must_use]
    pub fn main_reading(&mut self, own_pids: &[u32]) -> MemoryReading {
        let main = self.main.read();
        let private = |pid| Some(process::memory(pid)?.private_bytes);
        reading(main, sum(own_pids, std::process::id(), private))
    }

    /// Main memory as a profile of the machine shows it.
    #[must_use]
    pub fn main(&mut self) -> MainMemory {
        self.main.read()
    }
}

/// All memory once; use a [`Monitor`] to read it again and again.
#[must_use]
pub fn read(own_pids: &[u32]) -> Vec<(Device, MemoryReading)> {
    Monitor::new().read(own_pids)
}

/// What these processes and this one have together, each counted once.
fn sum(own_pids: &[u32], this: u32, bytes: impl Fn(u32) -> Option<u64>) -> u64 {
    own_pids
        .iter()
        .copied()
        .filter(|pid| *pid != this)
        .chain([this])
        .filter_map(bytes)
        .fold(0, u64::saturating_add)
}

/// Our processes cannot have more than is in use.
fn reading(main: MainMemory, own_bytes: u64) -> MemoryReading {
    let used = main.total_bytes.saturating_sub(main.available_bytes);
    MemoryReading {
        total_bytes: main.total_bytes,
        available_bytes: main.available_bytes,
        own_bytes: own_bytes.min(used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_share_is_within_what_is_used() {
        let main = MainMemory {
            total_bytes: 100,
            available_bytes: 70,
            ..MainMemory::default()
        };
        for (own, expected) in [(0, 0), (20, 20), (31, 30), (u64::MAX, 30)] {
            assert_eq!(reading(main, own).own_bytes, expected);
        }
    }

    #[test]
    fn main_memory_comes_first_and_this_process_has_some() {
        let readings = Monitor::new().read(&[]);
        let (device, reading) = readings[0];
        assert_eq!(device, Device::Cpu);
        assert!(reading.total_bytes > 0 && reading.available_bytes <= reading.total_bytes);
        assert!(reading.own_bytes > 0);
        assert!(readings[1..].iter().all(|(device, _)| *device != Device::Cpu));
    }

    #[test]
    fn a_process_named_twice_counts_once_and_a_dead_one_not_at_all() {
        let bytes = |pid| match pid {
            1 => Some(100),
            2 => Some(7),
            _ => None,
        };
        for (pids, expected) in [
            (&[][..], 100),
            (&[1], 100),
            (&[1, 2], 107),
            (&[2, 3], 107),
            (&[3], 100),
        ] {
            assert_eq!(sum(pids, 1, bytes), expected, "{pids:?}");
        }
        assert_eq!(sum(&[2], 1, |_| Some(u64::MAX)), u64::MAX);
    }
}
