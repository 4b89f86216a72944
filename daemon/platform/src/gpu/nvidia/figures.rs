//! What the driver says of one GPU, held to what can be true.

use airunner_core::hardware::{Gpu, GpuProcess};
use airunner_core::memory::MemoryReading;

use crate::text::tidy;

/// No GPU has so much; such a figure is a mistake.
const MOST_BYTES: u64 = 1 << 50;
const MOST_PROCESSES: usize = 4096;
const NAME_LENGTH: usize = 128;

/// As the driver says it; a question it refused is `Err` with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) name: String,
    pub(super) memory: Result<Memory, Unknown>,
    pub(super) compute_capability: Option<(i32, i32)>,
    /// Process and bytes; a process may be named more than once.
    pub(super) processes: Vec<(u32, u64)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    /// The GPU has no memory of its own.
    Shared,
    /// For a person.
    Failed(String),
}

impl Figures {
    /// Within bounds; `None` if the driver does not know or talks nonsense.
    fn sound_memory(&self) -> Option<Memory> {
        let memory = self.memory.as_ref().ok()?;
        (1..=MOST_BYTES).contains(&memory.total_bytes).then(|| Memory {
            total_bytes: memory.total_bytes,
            free_bytes: memory.free_bytes.min(memory.total_bytes),
        })
    }

    pub(super) fn shares_main_memory(&self) -> bool {
        self.memory == Err(Unknown::Shared)
    }

    /// Why its memory cannot be used, for a person.
    pub(super) fn problem(&self) -> Option<String> {
        match &self.memory {
            Err(Unknown::Shared) => None,
            Err(Unknown::Failed(reason)) => Some(format!("the driver does not say its memory: {reason}")),
            Ok(memory) if self.sound_memory().is_none() => Some(format!(
                "the driver says it has {} bytes of memory, which cannot be",
                memory.total_bytes
            )),
            Ok(_) => None,
        }
    }

    /// All but the device and the driver.
    pub(super) fn gpu(&self) -> Gpu {
        let memory = self.sound_memory();
        Gpu {
            name: tidy(&self.name, NAME_LENGTH),
            total_bytes: memory.map_or(0, |memory| memory.total_bytes),
            free_bytes: memory.map_or(0, |memory| memory.free_bytes),
            compute_capability: self.compute_capability.and_then(capability),
            processes: self.sound_processes(),
            ..Gpu::default()
        }
    }

    /// `None` if it has no memory of its own that is known.
    pub(super) fn reading(&self, own_pids: &[u32]) -> Option<MemoryReading> {
        let memory = self.sound_memory()?;
        let own = self
            .sound_processes()
            .into_iter()
            .filter(|process| own_pids.contains(&process.pid))
            .fold(0_u64, |sum, process| sum.saturating_add(process.bytes));
        Some(MemoryReading {
            total_bytes: memory.total_bytes,
            available_bytes: memory.free_bytes,
            own_bytes: own.min(memory.total_bytes - memory.free_bytes),
        })
    }

    /// Each process once. A process that computes and draws is in two lists with the same figure.
    fn sound_processes(&self) -> Vec<GpuProcess> {
        let total = self.sound_memory().map_or(0, |memory| memory.total_bytes);
        let mut processes: Vec<GpuProcess> = Vec::new();
        for &(pid, bytes) in self.processes.iter().take(MOST_PROCESSES) {
            let bytes = bytes.min(total);
            match processes.iter_mut().find(|process| process.pid == pid) {
                Some(process) => process.bytes = process.bytes.max(bytes),
                None => processes.push(GpuProcess { pid, bytes }),
            }
        }
        processes.sort_unstable_by_key(|process| process.pid);
        processes
    }
}

fn capability((major, minor): (i32, i32)) -> Option<(u32, u32)> {
    let sound = |number: i32| u32::try_from(number).ok().filter(|number| *number < 1000);
    Some((sound(major)?, sound(minor)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(total_bytes: u64, free_bytes: u64, processes: &[(u32, u64)]) -> Figures {
        Figures {
            name: "NVIDIA\n Test".to_owned(),
            memory: Ok(Memory {
                total_bytes,
                free_bytes,
            }),
            compute_capability: Some((8, 6)),
            processes: processes.to_vec(),
        }
    }

    #[test]
    fn readings_are_held_to_what_can_be_true() {
        for (total, free, processes, own, expected) in [
            (100, 60, vec![(7, 30), (8, 5)], vec![7], Some((100, 60, 30))),
            (100, 60, vec![(7, 30), (7, 30)], vec![7], Some((100, 60, 30))),
            (100, 60, vec![(7, 10), (8, 5)], vec![7, 8, 9], Some((100, 60, 15))),
            (100, 160, vec![(7, 30)], vec![7], Some((100, 100, 0))),
            (
                100,
                60,
                vec![(7, u64::MAX), (8, u64::MAX)],
                vec![7, 8],
                Some((100, 60, 40)),
            ),
            (100, 0, vec![], vec![7], Some((100, 0, 0))),
            (0, 0, vec![(7, 30)], vec![7], None),
            (u64::MAX, 5, vec![], vec![], None),
        ] {
            let reading = figures(total, free, &processes).reading(&own);
            let reading = reading.map(|it| (it.total_bytes, it.available_bytes, it.own_bytes));
            assert_eq!(reading, expected, "{total} {free} {processes:?}");
        }
    }

    #[test]
    fn a_gpu_is_shown_even_if_its_memory_is_not_known() {
        for (memory, shared, problem) in [
            (Err(Unknown::Shared), true, false),
            (Err(Unknown::Failed("lost".to_owned())), false, true),
            (
                Ok(Memory {
                    total_bytes: u64::MAX,
                    free_bytes: 0,
                }),
                false,
                true,
            ),
        ] {
            let figures = Figures {
                memory,
                ..figures(0, 0, &[(1, 5)])
            };
            let gpu = figures.gpu();
            assert_eq!(
                (gpu.name.as_str(), gpu.total_bytes, gpu.free_bytes),
                ("NVIDIA Test", 0, 0)
            );
            assert_eq!(figures.shares_main_memory(), shared);
            assert_eq!(figures.problem().is_some(), problem);
            assert_eq!(figures.reading(&[1]), None);
        }
    }

    #[test]
    fn nonsense_capabilities_are_none() {
        for (said, expected) in [
            ((8, 6), Some((8, 6))),
            ((12, 0), Some((12, 0))),
            ((-1, 0), None),
            ((9, i32::MAX), None),
        ] {
            assert_eq!(capability(said), expected);
        }
    }

    #[test]
    fn a_flood_of_processes_is_cut() {
        let flood: Vec<_> = (0..100_000).map(|pid| (pid, 1)).collect();
        assert_eq!(figures(1 << 30, 0, &flood).gpu().processes.len(), MOST_PROCESSES);
    }
}
