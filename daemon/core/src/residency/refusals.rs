//! What callers are told when they do not get memory, with the figures.

use std::time::Duration;

use crate::error::{ErrorKind, Fault};
use crate::hardware::Device;
use crate::memory::{MemoryBreakdown, PackageEstimate, Quantization, display_bytes};
use crate::name::ModelName;

use super::options::LoadOption;

pub(super) fn queue_full(limit: usize) -> Fault {
    Fault::new(
        ErrorKind::QueueFull,
        format!("{limit} requests wait already: try again later"),
    )
    .figure("queue_length", limit)
    .retry_after(Duration::from_secs(5))
}

/// Others had fewer requests waiting.
pub(super) fn displaced(limit: usize, own: usize) -> Fault {
    Fault::new(
        ErrorKind::QueueFull,
        format!(
            "{limit} requests wait already, {own} of them from here, and others have asked for less: try again later"
        ),
    )
    .figure("queue_length", limit)
    .figure("own_requests", own)
    .retry_after(Duration::from_secs(5))
}

pub(super) fn too_late(waited: Duration, reason: &str) -> Fault {
    let because = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    Fault::new(
        ErrorKind::DeadlineExceeded,
        format!(
            "its turn did not come within {:.1} s{because}",
            waited.as_secs_f64()
        ),
    )
    .figure("waited_ms", waited.as_millis())
}

pub(super) fn context_too_long(name: &ModelName, wish: u32, declared: u32) -> Fault {
    Fault::invalid(format!(
        "{name} has a context of at most {declared} tokens, {wish} were asked for"
    ))
    .figure("context_length", declared)
}

pub(super) fn no_such_level(
    name: &ModelName,
    level: Option<Quantization>,
    estimate: &PackageEstimate,
) -> Fault {
    let mut levels: Vec<&str> = estimate
        .variants
        .iter()
        .map(|variant| variant.level.as_str())
        .collect();
    levels.sort_unstable();
    levels.dedup();
    let levels = levels.join(", ");
    let wish = level.map_or("any", Quantization::as_str);
    Fault::new(
        ErrorKind::ModelIncompatible,
        format!("{name} has no variant of precision {wish} that this machine runs: it has {levels}"),
    )
    .figure("levels", levels)
}

pub(super) fn other_options(name: &ModelName, held: &LoadOption) -> Fault {
    Fault::new(
        ErrorKind::Busy,
        format!(
            "{name} is in use with {} and a context of {} tokens: try again when it is idle, or unload it first",
            held.level, held.context_length
        ),
    )
}

pub(super) fn not_installed(name: &ModelName) -> Fault {
    Fault::new(
        ErrorKind::ModelNotFound,
        format!("no model is called {name}: \"airunner models\" lists what is installed"),
    )
}

pub(super) fn no_such_device(device: Device) -> Fault {
    Fault::new(
        ErrorKind::NotFound,
        format!("there is no device {device}: \"airunner hardware\" lists what there is"),
    )
}

pub(super) fn reservation(device: Device, bytes: u64, free: u64) -> Fault {
    Fault::new(
        ErrorKind::OutOfMemory,
        format!(
            "{} of {device} memory cannot be set aside: {} are free, and nothing else can go",
            display_bytes(bytes),
            display_bytes(free)
        ),
    )
    .figure("required_bytes", bytes)
    .figure("available_bytes", free)
}

/// Not even with everything gone that may go.
pub(super) fn does_not_fit(
    name: &ModelName,
    smallest: &LoadOption,
    parts: &MemoryBreakdown,
    available: u64,
    pinned: &[ModelName],
) -> Fault {
    let mut why = vec![format!("the budget is {}", display_bytes(parts.budget_bytes))];
    if parts.external_apps_bytes > 0 {
        let others = display_bytes(parts.external_apps_bytes);
        why.push(format!(
            "other programs use {others} of {}",
            display_bytes(parts.total_bytes)
        ));
    }
    if parts.canvas_history_bytes > 0 {
        why.push(format!(
            "clients reserve {}",
            display_bytes(parts.canvas_history_bytes)
        ));
    }
    if !pinned.is_empty() {
        why.push(format!("pinned: {}", list(pinned)));
    }
    let fault = Fault::new(
        ErrorKind::OutOfMemory,
        format!(
            "{name} needs {} ({}, context of {} tokens) and at most {} can be had: {}. Close other programs, \
             raise the budget with \"airunner memory budget\", or load it with a shorter --context",
            display_bytes(smallest.bytes),
            smallest.level.description(),
            smallest.context_length,
            display_bytes(available),
            why.join(", ")
        ),
    )
    .figure("required_bytes", smallest.bytes)
    .figure("available_bytes", available)
    .figure("budget_bytes", parts.budget_bytes)
    .figure("total_bytes", parts.total_bytes)
    .figure("external_apps_bytes", parts.external_apps_bytes);
    if pinned.is_empty() {
        return fault;
    }
    fault.figure("pinned_models", list(pinned))
}

pub(super) fn no_room(name: &ModelName) -> Fault {
    Fault::new(
        ErrorKind::OutOfMemory,
        format!("{name} was to be loaded only if there is room, and there is none"),
    )
}

pub(super) fn list(names: &[ModelName]) -> String {
    let names: Vec<&str> = names.iter().map(ModelName::as_str).collect();
    names.join(", ")
}
