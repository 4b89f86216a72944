//! The machine, its memory, and what is asked of it, for property tests.

use airunner_core::hardware::{Device, Gpu, GpuProcess, Hardware, MainMemory, Processor};
use airunner_core::memory::{
    Budget, BudgetChange, DeviceClass, Estimate, EstimateRequest, Footprint, Freed, MemoryBreakdown,
    Permission, PermissionReason, PermissionRequest, Quantization, ReservationCategory, ReserveRequest,
    Reserved,
};
use airunner_core::model::ModelKind;
use airunner_core::usage::Usage;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{duration, fault, level, moment, name, text};

fn device() -> impl Strategy<Value = Device> {
    prop_oneof![
        Just(Device::Cpu),
        any::<u32>().prop_map(Device::Cuda),
        any::<u32>().prop_map(Device::Rocm),
    ]
}

fn gpu() -> impl Strategy<Value = Gpu> {
    let process = any::<(u32, u64)>().prop_map(|(pid, bytes)| GpuProcess { pid, bytes });
    let figures = any::<([u64; 2], Option<(u32, u32)>)>();
    (device(), text(), figures, text(), vec(process, 0..3)).prop_map(
        |(device, name, ([total_bytes, free_bytes], compute_capability), driver, processes)| Gpu {
            device,
            name,
            total_bytes,
            free_bytes,
            compute_capability,
            driver,
            processes,
        },
    )
}

pub(in crate::convert) fn hardware() -> impl Strategy<Value = Hardware> {
    let cpu = (text(), text(), any::<[u32; 2]>(), vec(text(), 0..3)).prop_map(
        |(name, architecture, [physical_cores, usable_threads], features)| Processor {
            name,
            architecture,
            physical_cores,
            usable_threads,
            features,
        },
    );
    let memory = any::<([u64; 3], Option<u64>, bool)>().prop_map(
        |([total_bytes, available_bytes, installed_bytes], cgroup_limit_bytes, unified)| MainMemory {
            total_bytes,
            available_bytes,
            installed_bytes,
            cgroup_limit_bytes,
            unified,
        },
    );
    (text(), cpu, memory, vec(gpu(), 0..3), vec(text(), 0..3)).prop_map(
        |(platform, cpu, memory, gpus, notes)| Hardware {
            platform,
            cpu,
            memory,
            gpus,
            notes,
        },
    )
}

pub(in crate::convert) fn breakdown() -> impl Strategy<Value = MemoryBreakdown> {
    (device(), any::<[u64; 7]>()).prop_map(
        |(device, [total, budget, models, canvas_history, reserve, external, free])| MemoryBreakdown {
            device,
            total_bytes: total,
            budget_bytes: budget,
            models_bytes: models,
            canvas_history_bytes: canvas_history,
            system_reserve_bytes: reserve,
            external_apps_bytes: external,
            free_bytes: free,
        },
    )
}

pub(in crate::convert) fn budget_change() -> impl Strategy<Value = BudgetChange> {
    let budget = prop_oneof![
        any::<u64>().prop_map(Budget::Bytes),
        (0..=100_u8).prop_map(Budget::Percent),
    ];
    (select(&DeviceClass::ALL), budget).prop_map(|(device, budget)| BudgetChange { device, budget })
}

pub(in crate::convert) fn freed() -> impl Strategy<Value = Freed> {
    (vec(name(), 0..3), any::<u64>()).prop_map(|(unloaded, freed_bytes)| Freed {
        unloaded,
        freed_bytes,
    })
}

pub(in crate::convert) fn reserve_request() -> impl Strategy<Value = ReserveRequest> {
    (device(), any::<u64>(), select(&ReservationCategory::ALL)).prop_map(|(device, bytes, category)| {
        ReserveRequest {
            device,
            bytes,
            category,
        }
    })
}

pub(in crate::convert) fn reserved() -> impl Strategy<Value = Reserved> {
    (device(), any::<u64>(), option::of(fault())).prop_map(|(device, reserved_bytes, refusal)| Reserved {
        device,
        reserved_bytes,
        refusal,
    })
}

pub(in crate::convert) fn estimate_request() -> impl Strategy<Value = EstimateRequest> {
    (name(), option::of(1..=u32::MAX), level()).prop_map(|(name, context_length, level)| EstimateRequest {
        name,
        context_length,
        level,
    })
}

pub(in crate::convert) fn estimate() -> impl Strategy<Value = Estimate> {
    let computed =
        any::<[u64; 4]>().prop_map(|[weights_bytes, cache_bytes, activation_bytes, overhead_bytes]| {
            Footprint {
                weights_bytes,
                cache_bytes,
                activation_bytes,
                overhead_bytes,
            }
        });
    let figures = any::<(u32, Option<u64>, u64, u64, bool)>();
    let which = ([text(), text()], select(&Quantization::ALL), device());
    (which, computed, figures, vec(name(), 0..3)).prop_map(
        |(
            ([variant, refusal], level, device),
            computed,
            (context_length, learned_bytes, total_bytes, step_bytes, fits),
            would_unload,
        )| Estimate {
            variant,
            level,
            device,
            context_length,
            computed,
            step_bytes,
            learned_bytes,
            total_bytes,
            fits,
            would_unload,
            refusal,
        },
    )
}

pub(in crate::convert) fn permission_request() -> impl Strategy<Value = PermissionRequest> {
    option::of(name()).prop_map(|model| PermissionRequest {
        kind: ModelKind::Llm,
        model,
    })
}

pub(in crate::convert) fn permission() -> impl Strategy<Value = Permission> {
    let figures = any::<(bool, [u64; 2])>();
    (select(&PermissionReason::ALL), text(), figures, vec(name(), 0..3)).prop_map(
        |(reason, message, (can_perform, [required_bytes, available_bytes]), active_models)| Permission {
            can_perform,
            reason,
            message,
            required_bytes,
            available_bytes,
            active_models,
        },
    )
}

pub(in crate::convert) fn usage() -> impl Strategy<Value = Usage> {
    let times = (
        duration(),
        option::of(duration()),
        duration(),
        option::of(moment()),
    );
    (name(), any::<[u64; 7]>(), times, any::<Vec<(String, u64)>>()).prop_map(
        |(model, figures, (load_time, last_load_time, busy_time, last_used), unloads)| {
            let [
                loads,
                failed_loads,
                peak,
                requests,
                failed_requests,
                prompt,
                completion,
            ] = figures;
            Usage {
                model,
                loads,
                failed_loads,
                load_time,
                last_load_time,
                peak_memory_bytes: peak,
                requests,
                failed_requests,
                prompt_tokens: prompt,
                completion_tokens: completion,
                busy_time,
                last_used,
                unloads,
            }
        },
    )
}
