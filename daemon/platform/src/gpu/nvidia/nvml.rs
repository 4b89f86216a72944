//! NVML, the library of the driver.

use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::figures::{Figures, Memory, Unknown};
use super::{Answer, Driver, Refusal};

const VERSION_LENGTH: usize = 40;
/// More than any machine has.
const MOST_GPUS: u32 = 64;

/// Opened with the first question, and anew with the one after a failure.
#[derive(Debug, Default)]
pub(super) struct Library {
    nvml: Option<Nvml>,
}

impl Driver for Library {
    fn ask(&mut self) -> Result<Answer, Refusal> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => Nvml::init().map_err(refusal)?,
        };
        let answer = answer(&nvml).map_err(refusal)?;
        self.nvml = Some(nvml);
        Ok(answer)
    }
}

fn answer(nvml: &Nvml) -> Result<Answer, NvmlError> {
    let count = nvml.device_count()?.min(MOST_GPUS);
    let version = nvml.sys_driver_version().unwrap_or_default();
    let gpus = (0..count).map(|index| {
        nvml.device_by_index(index)
            .map_or_else(unknown, |it| figures(&it))
    });
    Ok(Answer {
        version: crate::text::tidy(&version, VERSION_LENGTH),
        gpus: gpus.collect(),
    })
}

/// One GPU that fell off the bus does not hide the others.
fn unknown(error: NvmlError) -> Figures {
    Figures {
        name: "NVIDIA GPU".to_owned(),
        memory: Err(Unknown::Failed(error.to_string())),
        compute_capability: None,
        processes: Vec::new(),
    }
}

fn figures(device: &Device<'_>) -> Figures {
    let capability = device.cuda_compute_capability().ok();
    Figures {
        name: device.name().unwrap_or_else(|_| "NVIDIA GPU".to_owned()),
        memory: memory(device),
        compute_capability: capability.map(|capability| (capability.major, capability.minor)),
        processes: processes(device),
    }
}

fn memory(device: &Device<'_>) -> Result<Memory, Unknown> {
    match device.memory_info() {
        Ok(memory) => Ok(Memory {
            total_bytes: memory.total,
            free_bytes: memory.free,
        }),
        Err(NvmlError::NotSupported) => Err(Unknown::Shared),
        Err(error) => Err(Unknown::Failed(error.to_string())),
    }
}

/// Those whose memory the driver knows; on Windows it often knows none.
fn processes(device: &Device<'_>) -> Vec<(u32, u64)> {
    let compute = device.running_compute_processes().unwrap_or_default();
    let graphics = device.running_graphics_processes().unwrap_or_default();
    compute
        .into_iter()
        .chain(graphics)
        .filter_map(|process| match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some((process.pid, bytes)),
            UsedGpuMemory::Unavailable => None,
        })
        .collect()
}

fn refusal(error: NvmlError) -> Refusal {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the set is open and the rest means one thing"
    )]
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => Refusal::Absent,
        error => Refusal::Failed(error.to_string()),
    }
}
