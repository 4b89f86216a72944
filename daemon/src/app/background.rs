//! What runs beside requests: models that are there from the start, their faster copies, jobs.

use std::path::Path;
use std::time::Duration;

use airunner_core::model::LoadRequest;
use airunner_core::{KeepAlive, Priority};
use airunner_platform::{Endpoint, Places};
use airunner_runtimes::Kernels;
use tokio::sync::watch;

use crate::config::{ModelsSettings, Settings};
use crate::models::Models;
use crate::prepack::{self, PrepackOptions, Prepacker};
use crate::quantize::QuantizeOptions;
use crate::shutdown::Ending;
use crate::spilled;
use crate::usage::Usage;
use crate::workers::WorkerOptions;

/// Models used within this time count as used.
const RECENT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Models that are to be there from the start: those named stay, the most used ones as long as
/// any. Neither makes another one go.
pub(super) async fn preload(models: Models, usage: Usage, settings: ModelsSettings) {
    if models.paused().is_some() {
        return tracing::info!("paused before the last end: nothing is loaded at the start");
    }
    let background = |name| LoadRequest {
        priority: Priority::Background,
        ..LoadRequest::new(name)
    };
    let mut wanted: Vec<LoadRequest> = settings
        .preload
        .into_iter()
        .map(|name| LoadRequest {
            keep_alive: Some(KeepAlive::Forever),
            ..background(name)
        })
        .collect();
    if settings.preload_most_used > 0 {
        match usage.most_used(settings.preload_most_used, Some(RECENT)).await {
            Ok(names) => wanted.extend(names.into_iter().map(background)),
            Err(fault) => tracing::warn!(%fault, "the most used models are not known"),
        }
    }
    for request in wanted {
        let model = request.name.clone();
        if let Err(fault) = models.preload(request).await {
            tracing::warn!(%model, reason = %fault.kind, "not loaded at the start: {fault}");
        }
    }
}

/// Has the directory of what models computed there before the first of them is loaded. What tells
/// it another limit, and who hears of it.
pub(super) fn keep_conversations(
    directory: &Path,
    limit: Option<u64>,
) -> (watch::Sender<Option<u64>>, watch::Receiver<Option<u64>>) {
    if limit.is_some() {
        spilled::prepare(directory);
    }
    watch::channel(limit)
}

/// Copies of models that load faster are made and thrown away in the background.
pub(super) fn keep_packed_copies(
    places: &Places,
    settings: &Settings,
    worker: &WorkerOptions,
    kernels: watch::Receiver<Kernels>,
    models: Models,
    ending: Ending,
) {
    let cache = places.prepacked();
    let Some(limit) = settings.models.prepacked_cache else {
        tokio::task::spawn_blocking(move || prepack::clear(&cache));
        return;
    };
    let options = PrepackOptions {
        executable: worker.executable.clone(),
        cache,
        limit,
        onnxruntime_library: worker.onnxruntime_library.clone(),
        threads: worker.load.threads.map_or(1, |threads| threads as usize),
        kernels,
        limits: worker.limits,
        log_level: worker.log_level,
    };
    tokio::spawn(Prepacker::new(models, options).run(ending));
}

/// Models are made smaller by a process like those that load them.
pub(super) fn quantize_options(worker: &WorkerOptions) -> QuantizeOptions {
    QuantizeOptions {
        executable: worker.executable.clone(),
        onnxruntime_library: Some(worker.onnxruntime_library.clone()).filter(|library| library.is_absolute()),
        threads: worker.load.threads.map_or(1, |threads| threads as usize),
        limits: worker.limits,
        log_level: worker.log_level,
    }
}

/// What workers of a daemon that died left behind.
pub(super) fn clear_sockets(places: &Places) {
    let Ok(entries) = std::fs::read_dir(places.workers()) else {
        return;
    };
    for entry in entries.flatten() {
        Endpoint::at(entry.path()).remove();
    }
}
