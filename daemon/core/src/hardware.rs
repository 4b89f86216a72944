//! What this machine has.

use std::fmt;

/// Where a model can live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Device {
    /// Processors and main memory; also accelerators that share it.
    #[default]
    Cpu,
    /// An NVIDIA GPU by its index.
    Cuda(u32),
    /// An AMD GPU by its index.
    Rocm(u32),
}

impl Device {
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None => (text == "cpu").then_some(Self::Cpu),
            Some(("cuda", index)) => index.parse().ok().map(Self::Cuda),
            Some(("rocm", index)) => index.parse().ok().map(Self::Rocm),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.pad("cpu"),
            Self::Cuda(index) => f.pad(&format!("cuda:{index}")),
            Self::Rocm(index) => f.pad(&format!("rocm:{index}")),
        }
    }
}

/// Everything the program knows of the machine, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hardware {
    /// `linux`, `macos` or `windows`.
    pub platform: String,
    pub cpu: Processor,
    pub memory: MainMemory,
    pub gpus: Vec<Gpu>,
    /// For a person: what could not be found out and why, such as a driver that does not answer.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processor {
    /// As the maker calls it.
    pub name: String,
    /// `x86_64` or `aarch64`.
    pub architecture: String,
    pub physical_cores: u32,
    /// Hardware threads this process may use (affinity and cgroup quota counted).
    pub usable_threads: u32,
    /// Those that decide which kernels run, such as `avx2` and `avx512_vnni`, sorted.
    pub features: Vec<String>,
}

/// Main memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MainMemory {
    /// What this process may use at most: the machine's memory, or the cgroup's limit if lower.
    pub total_bytes: u64,
    /// What could be taken without swapping.
    pub available_bytes: u64,
    /// The machine's own, whatever the cgroup allows.
    pub installed_bytes: u64,
    /// Set if a cgroup limits this process below that.
    pub cgroup_limit_bytes: Option<u64>,
    /// True if the GPU uses the same memory.
    pub unified: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    pub device: Device,
    pub name: String,
    pub total_bytes: u64,
    pub free_bytes: u64,
    /// NVIDIA's, such as (8, 6).
    pub compute_capability: Option<(u32, u32)>,
    /// Version of the driver.
    pub driver: String,
    /// Memory of each process on it, bytes, where the driver says.
    pub processes: Vec<GpuProcess>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    pub pid: u32,
    pub bytes: u64,
}

/// What one process holds in main memory, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessMemory {
    /// In memory now, mapped files included.
    pub resident_bytes: u64,
    /// Of that, what only this process has and cannot be read again from a file.
    pub private_bytes: u64,
    /// The most that was resident in its life.
    pub peak_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_reads_back_from_its_text() {
        for device in [Device::Cpu, Device::Cuda(0), Device::Cuda(11), Device::Rocm(1)] {
            assert_eq!(Device::parse(&device.to_string()), Some(device));
        }
        for text in ["", "gpu", "cuda", "cuda:", "cuda:x", "cpu:0"] {
            assert_eq!(Device::parse(text), None, "{text}");
        }
    }
}
