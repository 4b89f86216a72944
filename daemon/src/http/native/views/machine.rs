//! Memory and the machine.

use airunner_core::hardware::{Gpu, Hardware};
use airunner_core::memory::{Estimate, Footprint, MemoryBreakdown};
use serde::Serialize;
use utoipa::ToSchema;

/// Who has how much of one device's memory, bytes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct MemoryBody {
    /// `cpu`, `cuda:0`, `rocm:0`.
    device: String,
    total_bytes: u64,
    /// What models and reservations may have together.
    budget_bytes: u64,
    models_bytes: u64,
    canvas_history_bytes: u64,
    system_reserve_bytes: u64,
    external_apps_bytes: u64,
    /// What another model could have.
    free_bytes: u64,
}

impl From<MemoryBreakdown> for MemoryBody {
    fn from(memory: MemoryBreakdown) -> Self {
        Self {
            device: memory.device.to_string(),
            total_bytes: memory.total_bytes,
            budget_bytes: memory.budget_bytes,
            models_bytes: memory.models_bytes,
            canvas_history_bytes: memory.canvas_history_bytes,
            system_reserve_bytes: memory.system_reserve_bytes,
            external_apps_bytes: memory.external_apps_bytes,
            free_bytes: memory.free_bytes,
        }
    }
}

/// What this machine has.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct HardwareBody {
    platform: String,
    cpu: ProcessorBody,
    memory: MainMemoryBody,
    gpus: Vec<GpuBody>,
    /// For a person: what could not be found out.
    notes: Vec<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct ProcessorBody {
    name: String,
    architecture: String,
    physical_cores: u32,
    usable_threads: u32,
    features: Vec<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct MainMemoryBody {
    total_bytes: u64,
    available_bytes: u64,
    installed_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_limit_bytes: Option<u64>,
    unified: bool,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
struct GpuBody {
    device: String,
    name: String,
    total_bytes: u64,
    free_bytes: u64,
    /// Such as `8.6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    compute_capability: Option<String>,
    driver: String,
}

impl From<Hardware> for HardwareBody {
    fn from(hardware: Hardware) -> Self {
        let gpu = |gpu: Gpu| GpuBody {
            device: gpu.device.to_string(),
            name: gpu.name,
            total_bytes: gpu.total_bytes,
            free_bytes: gpu.free_bytes,
            compute_capability: gpu
                .compute_capability
                .map(|(major, minor)| format!("{major}.{minor}")),
            driver: gpu.driver,
        };
        Self {
            platform: hardware.platform,
            cpu: ProcessorBody {
                name: hardware.cpu.name,
                architecture: hardware.cpu.architecture,
                physical_cores: hardware.cpu.physical_cores,
                usable_threads: hardware.cpu.usable_threads,
                features: hardware.cpu.features,
            },
            memory: MainMemoryBody {
                total_bytes: hardware.memory.total_bytes,
                available_bytes: hardware.memory.available_bytes,
                installed_bytes: hardware.memory.installed_bytes,
                cgroup_limit_bytes: hardware.memory.cgroup_limit_bytes,
                unified: hardware.memory.unified,
            },
            gpus: hardware.gpus.into_iter().map(gpu).collect(),
            notes: hardware.notes,
        }
    }
}

/// What loading a model would take.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct EstimateBody {
    /// The graph file.
    variant: String,
    level: &'static str,
    device: String,
    context_length: u32,
    computed: FootprintBody,
    /// What it really took when it was loaded like this last.
    #[serde(skip_serializing_if = "Option::is_none")]
    learned_bytes: Option<u64>,
    /// What is set aside for it.
    total_bytes: u64,
    /// True if it could be loaded now, after unloading `would_unload`.
    fits: bool,
    would_unload: Vec<String>,
    /// Why it does not fit, for a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    refusal: String,
}

/// Memory by what it is for, bytes.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FootprintBody {
    weights_bytes: u64,
    cache_bytes: u64,
    activation_bytes: u64,
    overhead_bytes: u64,
}

impl From<Footprint> for FootprintBody {
    fn from(footprint: Footprint) -> Self {
        Self {
            weights_bytes: footprint.weights_bytes,
            cache_bytes: footprint.cache_bytes,
            activation_bytes: footprint.activation_bytes,
            overhead_bytes: footprint.overhead_bytes,
        }
    }
}

impl From<Estimate> for EstimateBody {
    fn from(estimate: Estimate) -> Self {
        Self {
            variant: estimate.variant,
            level: estimate.level.as_str(),
            device: estimate.device.to_string(),
            context_length: estimate.context_length,
            computed: estimate.computed.into(),
            learned_bytes: estimate.learned_bytes,
            total_bytes: estimate.total_bytes,
            fits: estimate.fits,
            would_unload: estimate.would_unload.iter().map(ToString::to_string).collect(),
            refusal: estimate.refusal,
        }
    }
}
