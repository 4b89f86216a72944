//! What the machine has.

use airunner_core::hardware::{Device, Gpu, Hardware};
use airunner_core::memory::MemoryBreakdown;
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// `airunner hardware`.
#[derive(Debug, Serialize)]
pub(crate) struct HardwareView<'a> {
    platform: &'a str,
    cpu: ProcessorView<'a>,
    memory: MainMemoryView,
    gpus: Vec<GpuView<'a>>,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct ProcessorView<'a> {
    name: &'a str,
    architecture: &'a str,
    physical_cores: u32,
    usable_threads: u32,
    features: &'a [String],
}

#[derive(Debug, Serialize)]
struct MainMemoryView {
    total_bytes: u64,
    available_bytes: u64,
    installed_bytes: u64,
    cgroup_limit_bytes: Option<u64>,
    unified: bool,
    external_apps_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct GpuView<'a> {
    device: String,
    name: &'a str,
    total_bytes: u64,
    free_bytes: u64,
    used_bytes: u64,
    external_apps_bytes: Option<u64>,
    compute_capability: Option<String>,
    driver: &'a str,
    processes: Vec<ProcessView>,
}

#[derive(Debug, Serialize)]
struct ProcessView {
    pid: u32,
    bytes: u64,
}

impl<'a> HardwareView<'a> {
    pub(crate) fn new(hardware: &'a Hardware, memory: &[MemoryBreakdown]) -> Self {
        let (cpu, main) = (&hardware.cpu, hardware.memory);
        Self {
            platform: &hardware.platform,
            cpu: ProcessorView {
                name: &cpu.name,
                architecture: &cpu.architecture,
                physical_cores: cpu.physical_cores,
                usable_threads: cpu.usable_threads,
                features: &cpu.features,
            },
            memory: MainMemoryView {
                total_bytes: main.total_bytes,
                available_bytes: main.available_bytes,
                installed_bytes: main.installed_bytes,
                cgroup_limit_bytes: main.cgroup_limit_bytes,
                unified: main.unified,
                external_apps_bytes: others(Device::Cpu, memory),
            },
            gpus: hardware.gpus.iter().map(|gpu| gpu_view(gpu, memory)).collect(),
            notes: &hardware.notes,
        }
    }
}

fn gpu_view<'a>(gpu: &'a Gpu, memory: &[MemoryBreakdown]) -> GpuView<'a> {
    let processes = gpu.processes.iter().map(|process| ProcessView {
        pid: process.pid,
        bytes: process.bytes,
    });
    GpuView {
        device: gpu.device.to_string(),
        name: &gpu.name,
        total_bytes: gpu.total_bytes,
        free_bytes: gpu.free_bytes,
        used_bytes: gpu.total_bytes.saturating_sub(gpu.free_bytes),
        external_apps_bytes: others(gpu.device, memory),
        compute_capability: capability(gpu),
        driver: &gpu.driver,
        processes: processes.collect(),
    }
}

/// What other programs hold on a device.
fn others(device: Device, memory: &[MemoryBreakdown]) -> Option<u64> {
    memory
        .iter()
        .find(|parts| parts.device == device)
        .map(|parts| parts.external_apps_bytes)
}

fn capability(gpu: &Gpu) -> Option<String> {
    gpu.compute_capability
        .map(|(major, minor)| format!("{major}.{minor}"))
}

/// Processor and main memory for people: names and values.
pub(crate) fn hardware_lines(hardware: &Hardware, memory: &[MemoryBreakdown]) -> Vec<(&'static str, String)> {
    let (cpu, main) = (&hardware.cpu, hardware.memory);
    let mut lines = vec![
        ("system", format!("{}, {}", hardware.platform, cpu.architecture)),
        ("processor", cpu.name.clone()),
        (
            "cores",
            format!("{} ({} usable threads)", cpu.physical_cores, cpu.usable_threads),
        ),
        ("features", cpu.features.join(", ")),
        ("memory", units::size(main.installed_bytes)),
        ("available", units::size(main.available_bytes)),
    ];
    if let Some(limit) = main.cgroup_limit_bytes {
        lines.push(("cgroup limit", units::size(limit)));
    }
    if main.unified {
        lines.push(("unified", "the GPU uses the same memory".to_owned()));
    }
    if let Some(bytes) = others(Device::Cpu, memory) {
        lines.push(("others hold", units::size(bytes)));
    }
    lines
}

pub(crate) fn gpus_table(hardware: &Hardware, memory: &[MemoryBreakdown]) -> Table {
    let mut table = Table::new(&[
        ("GPU", Align::Left),
        ("NAME", Align::Left),
        ("MEMORY", Align::Right),
        ("USED", Align::Right),
        ("FREE", Align::Right),
        ("OTHERS HOLD", Align::Right),
        ("COMPUTE", Align::Left),
        ("DRIVER", Align::Left),
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    for gpu in &hardware.gpus {
        table.row([
            gpu.device.to_string(),
            gpu.name.clone(),
            units::size(gpu.total_bytes),
            units::size(gpu.total_bytes.saturating_sub(gpu.free_bytes)),
            units::size(gpu.free_bytes),
            or_dash(others(gpu.device, memory).map(units::size)),
            or_dash(capability(gpu)),
            gpu.driver.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use airunner_core::hardware::{GpuProcess, MainMemory, Processor};
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn hardware() -> Hardware {
        Hardware {
            platform: "linux".into(),
            cpu: Processor {
                name: "A Processor".into(),
                architecture: "x86_64".into(),
                physical_cores: 8,
                usable_threads: 16,
                features: vec!["avx2".into(), "fma".into()],
            },
            memory: MainMemory {
                total_bytes: 8 << 30,
                available_bytes: 6 << 30,
                installed_bytes: 64 << 30,
                cgroup_limit_bytes: Some(8 << 30),
                unified: false,
            },
            gpus: vec![Gpu {
                device: Device::Cuda(0),
                name: "A GPU".into(),
                total_bytes: 24 << 30,
                free_bytes: 20 << 30,
                compute_capability: Some((8, 6)),
                driver: "550.1".into(),
                processes: vec![GpuProcess { pid: 7, bytes: 9 }],
            }],
            notes: vec!["no AMD driver".into()],
        }
    }

    fn memory() -> [MemoryBreakdown; 1] {
        [MemoryBreakdown {
            device: Device::Cuda(0),
            total_bytes: 24 << 30,
            budget_bytes: 0,
            models_bytes: 0,
            canvas_history_bytes: 0,
            system_reserve_bytes: 0,
            external_apps_bytes: 3 << 30,
            free_bytes: 0,
        }]
    }

    #[test]
    fn scripts_see_everything() {
        let view = value(&HardwareView::new(&hardware(), &memory()));
        assert_eq!(
            view,
            json!({
                "platform": "linux",
                "cpu": {
                    "name": "A Processor", "architecture": "x86_64", "physical_cores": 8, "usable_threads": 16,
                    "features": ["avx2", "fma"]
                },
                "memory": {
                    "total_bytes": 8_u64 << 30, "available_bytes": 6_u64 << 30, "installed_bytes": 64_u64 << 30,
                    "cgroup_limit_bytes": 8_u64 << 30, "unified": false, "external_apps_bytes": null
                },
                "gpus": [{
                    "device": "cuda:0", "name": "A GPU", "total_bytes": 24_u64 << 30,
                    "free_bytes": 20_u64 << 30, "used_bytes": 4_u64 << 30, "external_apps_bytes": 3_u64 << 30,
                    "compute_capability": "8.6", "driver": "550.1", "processes": [{ "pid": 7, "bytes": 9 }]
                }],
                "notes": ["no AMD driver"]
            })
        );
    }

    #[test]
    fn people_see_what_matters() {
        let lines = hardware_lines(&hardware(), &memory());
        let told: Vec<_> = lines
            .iter()
            .map(|(name, text)| format!("{name}: {text}"))
            .collect();
        assert_eq!(
            told,
            [
                "system: linux, x86_64",
                "processor: A Processor",
                "cores: 8 (16 usable threads)",
                "features: avx2, fma",
                "memory: 64.0 GiB",
                "available: 6.0 GiB",
                "cgroup limit: 8.0 GiB",
            ]
        );
        let (head, rows) = gpus_table(&hardware(), &memory()).lines();
        assert_eq!(
            head,
            "GPU     NAME     MEMORY     USED      FREE  OTHERS HOLD  COMPUTE  DRIVER"
        );
        assert_eq!(
            rows,
            ["cuda:0  A GPU  24.0 GiB  4.0 GiB  20.0 GiB      3.0 GiB  8.6      550.1"]
        );
    }
}
