//! What the machine has.

use airunner_core::Fault;
use airunner_core::hardware::{Gpu, GpuProcess, Hardware, MainMemory, Processor};

use super::common::device;
use super::wire::answered;
use crate::v1;

impl From<Hardware> for v1::HardwareProfile {
    fn from(hardware: Hardware) -> Self {
        Self {
            platform: hardware.platform,
            cpu: Some(hardware.cpu.into()),
            memory: Some(hardware.memory.into()),
            gpus: hardware.gpus.into_iter().map(Into::into).collect(),
            notes: hardware.notes,
        }
    }
}

impl TryFrom<v1::HardwareProfile> for Hardware {
    type Error = Fault;

    fn try_from(wire: v1::HardwareProfile) -> Result<Self, Fault> {
        let gpus = wire.gpus.into_iter().map(TryInto::try_into);
        Ok(Self {
            platform: wire.platform,
            cpu: answered(wire.cpu, "cpu")?.into(),
            memory: answered(wire.memory, "memory")?.into(),
            gpus: gpus.collect::<Result<_, _>>()?,
            notes: wire.notes,
        })
    }
}

impl From<Processor> for v1::Processor {
    fn from(cpu: Processor) -> Self {
        Self {
            name: cpu.name,
            architecture: cpu.architecture,
            physical_cores: cpu.physical_cores,
            usable_threads: cpu.usable_threads,
            features: cpu.features,
        }
    }
}

impl From<v1::Processor> for Processor {
    fn from(wire: v1::Processor) -> Self {
        Self {
            name: wire.name,
            architecture: wire.architecture,
            physical_cores: wire.physical_cores,
            usable_threads: wire.usable_threads,
            features: wire.features,
        }
    }
}

impl From<MainMemory> for v1::MainMemory {
    fn from(memory: MainMemory) -> Self {
        Self {
            total_bytes: memory.total_bytes,
            available_bytes: memory.available_bytes,
            installed_bytes: memory.installed_bytes,
            cgroup_limit_bytes: memory.cgroup_limit_bytes,
            unified: memory.unified,
        }
    }
}

impl From<v1::MainMemory> for MainMemory {
    fn from(wire: v1::MainMemory) -> Self {
        Self {
            total_bytes: wire.total_bytes,
            available_bytes: wire.available_bytes,
            installed_bytes: wire.installed_bytes,
            cgroup_limit_bytes: wire.cgroup_limit_bytes,
            unified: wire.unified,
        }
    }
}

impl From<Gpu> for v1::Gpu {
    fn from(gpu: Gpu) -> Self {
        let capability = |(major, minor)| v1::ComputeCapability { major, minor };
        let process = |process: GpuProcess| v1::GpuProcess {
            pid: process.pid,
            bytes: process.bytes,
        };
        Self {
            device: gpu.device.to_string(),
            name: gpu.name,
            total_bytes: gpu.total_bytes,
            free_bytes: gpu.free_bytes,
            compute_capability: gpu.compute_capability.map(capability),
            driver: gpu.driver,
            processes: gpu.processes.into_iter().map(process).collect(),
        }
    }
}

impl TryFrom<v1::Gpu> for Gpu {
    type Error = Fault;

    fn try_from(wire: v1::Gpu) -> Result<Self, Fault> {
        let process = |process: v1::GpuProcess| GpuProcess {
            pid: process.pid,
            bytes: process.bytes,
        };
        Ok(Self {
            device: device(&wire.device, "gpu.device")?,
            name: wire.name,
            total_bytes: wire.total_bytes,
            free_bytes: wire.free_bytes,
            compute_capability: wire
                .compute_capability
                .map(|capability| (capability.major, capability.minor)),
            driver: wire.driver,
            processes: wire.processes.into_iter().map(process).collect(),
        })
    }
}
