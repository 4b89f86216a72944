//! What the settings, the environment and the installation say, in the words of the domains.

use std::path::{Path, PathBuf};

use airunner_core::Fault;
use airunner_core::model::{CacheOnDisk, CacheType, WorkerLoad};
use airunner_core::residency::Policy;
use airunner_platform::{ChildLimits, Installation, Places, cpu};
use airunner_runtimes::Kernels;

use crate::config::{DEFAULT_HUB, Environment, Settings};
use crate::downloads::{DownloadOptions, HubOptions};
use crate::workers::WorkerOptions;

/// Requests that were given up and that a worker has not seen the end of yet, at most.
const CANCELLED: usize = 256;

/// Tells one library from another without reading it, and one type of cache from another: what a
/// model takes with this one is not what it takes with that one.
pub(super) fn identity(library: &Path, cache_type: CacheType) -> String {
    match cache_type {
        CacheType::Auto => file_identity(library),
        CacheType::F32 | CacheType::F16 | CacheType::Q8 => {
            format!("{} {}", file_identity(library), cache_type.as_str())
        }
    }
}

fn file_identity(library: &Path) -> String {
    let changed = |metadata: &std::fs::Metadata| {
        let time = metadata.modified().ok()?;
        time.duration_since(std::time::UNIX_EPOCH).ok()
    };
    match std::fs::metadata(library) {
        Ok(metadata) => {
            let seconds = changed(&metadata).unwrap_or_default().as_secs();
            format!("onnxruntime:{}:{seconds}", metadata.len())
        }
        Err(_) => "none".to_owned(),
    }
}

pub(super) fn onnxruntime_library(
    settings: &Settings,
    environment: &Environment,
    installation: &Installation,
) -> Option<PathBuf> {
    let library = settings
        .runtime
        .onnxruntime_library
        .clone()
        .or_else(|| environment.onnxruntime_library())
        .or_else(|| installation.onnxruntime_library());
    match &library {
        Some(library) => tracing::debug!(library = %library.display(), "ONNX Runtime"),
        None => tracing::warn!("no ONNX Runtime library was found: models cannot be loaded"),
    }
    library
}

/// What this processor lacks is as if nothing were set.
fn kernels(settings: &Settings) -> Kernels {
    let kernels = settings.models.kernels;
    if kernels.is_available() {
        return kernels;
    }
    tracing::warn!(%kernels, "this processor does not have what models.kernels names; the best it has is used");
    Kernels::Auto
}

/// The name of the model comes with the load.
fn cache_on_disk(places: &Places, settings: &Settings) -> Option<CacheOnDisk> {
    let limit = settings.models.cache_on_disk?;
    Some(CacheOnDisk {
        directory: places.conversations().to_str()?.to_owned(),
        limit,
        model: String::new(),
    })
}

/// What the decisions about memory and turns are made by.
pub(super) fn policy(settings: &Settings) -> Policy {
    let runtime = &settings.runtime;
    Policy {
        queue_length: settings.models.max_waiting,
        fair_after: settings.models.fair_after,
        capacity: runtime.parallel_requests + runtime.queue_length,
        context_length: runtime.context_length,
    }
}

pub(super) fn download_options(
    places: &Places,
    settings: &Settings,
    environment: &Environment,
) -> Result<DownloadOptions, Fault> {
    let (settings, hub) = (&settings.downloads, environment.hub());
    let endpoint = match &settings.hub {
        Some(hub) => Some(hub.clone()),
        None => hub.endpoint()?,
    };
    let written = |path: &PathBuf| std::fs::read_to_string(path).ok();
    let token = hub.token.or_else(|| hub.token_file.as_ref().and_then(written));
    Ok(DownloadOptions {
        hub: HubOptions {
            endpoint: endpoint.unwrap_or_else(|| DEFAULT_HUB.to_owned()),
            token: token
                .map(|token| token.trim().to_owned())
                .filter(|token| !token.is_empty()),
            allow_private_addresses: settings.allow_private_addresses,
            offline: settings.offline || hub.offline,
        },
        directory: places.data.join("downloads"),
        hub_cache: hub.cache,
        connections: settings.connections,
        bandwidth: settings.bandwidth,
    })
}

pub(super) fn worker_options(
    places: &Places,
    settings: &Settings,
    installation: &Installation,
    library: Option<&Path>,
) -> WorkerOptions {
    let runtime = &settings.runtime;
    let threads = runtime.threads.unwrap_or_else(cpu::usable_cores);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    WorkerOptions {
        executable: installation.executable.clone(),
        sockets: places.workers(),
        limits: ChildLimits {
            address_space: settings.worker.address_space,
            open_files: Some(settings.worker.open_files),
        },
        log_level: settings.log.level,
        load_timeout: settings.worker.load_timeout,
        stop_timeout: settings.worker.stop_timeout,
        // Named even if it is missing, so that the error says where it was expected.
        onnxruntime_library: library
            .map_or_else(|| installation.shipped_onnxruntime_library(), Path::to_path_buf),
        load: WorkerLoad {
            directory: String::new(),
            onnxruntime_library: String::new(),
            threads: Some(count(threads)),
            allow_spinning: runtime.allow_spinning,
            context_length: Some(runtime.context_length),
            parallel_requests: count(runtime.parallel_requests),
            // The daemon bounds what it hands over; one that was given up may still be on its way out.
            queue_length: count(runtime.queue_length.saturating_add(CANCELLED)),
            prompt_chunk: count(runtime.prompt_chunk),
            variant: None,
            prepacked_directory: settings
                .models
                .prepacked_cache
                .and_then(|_| places.prepacked().to_str().map(str::to_owned)),
            kernels: Some(kernels(settings).to_string()),
            cache_type: settings.models.cache_type,
            cache_on_disk: cache_on_disk(places, settings),
        },
    }
}
