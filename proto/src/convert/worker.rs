//! Between the daemon and its workers: what to load, and what came of it.

use airunner_core::Fault;
use airunner_core::generate::{ClientId, GenerateRequest};
use airunner_core::memory::Quantization;
use airunner_core::model::{CacheOnDisk, CacheType, Loaded, WorkerLoad, WorkerLoadEvent};

use super::wire::{answered, non_empty, required};
use crate::worker_v1;

impl From<GenerateRequest> for worker_v1::GenerateRequest {
    fn from(request: GenerateRequest) -> Self {
        Self {
            client: request.client.number(),
            request: Some(request.into()),
        }
    }
}

impl TryFrom<worker_v1::GenerateRequest> for GenerateRequest {
    type Error = Fault;

    fn try_from(wire: worker_v1::GenerateRequest) -> Result<Self, Fault> {
        let mut request = Self::try_from(required(wire.request, "request")?)?;
        request.client = ClientId::from_number(wire.client);
        Ok(request)
    }
}

impl From<WorkerLoad> for worker_v1::LoadRequest {
    fn from(load: WorkerLoad) -> Self {
        Self {
            directory: load.directory,
            onnxruntime_library: load.onnxruntime_library,
            threads: load.threads.unwrap_or_default(),
            allow_spinning: load.allow_spinning,
            context_length: load.context_length.unwrap_or_default(),
            parallel_requests: load.parallel_requests,
            queue_length: load.queue_length,
            prompt_chunk: load.prompt_chunk,
            variant: load.variant.unwrap_or_default(),
            prepacked_directory: load.prepacked_directory.unwrap_or_default(),
            kernels: load.kernels.unwrap_or_default(),
            cache_type: load.cache_type.as_str().to_owned(),
            cache_on_disk: load.cache_on_disk.map(Into::into),
        }
    }
}

impl TryFrom<worker_v1::LoadRequest> for WorkerLoad {
    type Error = Fault;

    fn try_from(wire: worker_v1::LoadRequest) -> Result<Self, Fault> {
        let positive = |number: u32, field| required((number != 0).then_some(number), field);
        Ok(Self {
            directory: required(non_empty(wire.directory), "directory")?,
            onnxruntime_library: wire.onnxruntime_library,
            threads: (wire.threads != 0).then_some(wire.threads),
            allow_spinning: wire.allow_spinning,
            context_length: (wire.context_length != 0).then_some(wire.context_length),
            parallel_requests: positive(wire.parallel_requests, "parallel_requests")?,
            queue_length: wire.queue_length,
            prompt_chunk: positive(wire.prompt_chunk, "prompt_chunk")?,
            variant: non_empty(wire.variant),
            prepacked_directory: non_empty(wire.prepacked_directory),
            kernels: non_empty(wire.kernels),
            cache_type: cache_type(&wire.cache_type)?,
            cache_on_disk: wire.cache_on_disk.map(TryInto::try_into).transpose()?,
        })
    }
}

impl From<CacheOnDisk> for worker_v1::CacheOnDisk {
    fn from(cache: CacheOnDisk) -> Self {
        Self {
            directory: cache.directory,
            limit: cache.limit,
            model: cache.model,
        }
    }
}

impl TryFrom<worker_v1::CacheOnDisk> for CacheOnDisk {
    type Error = Fault;

    fn try_from(wire: worker_v1::CacheOnDisk) -> Result<Self, Fault> {
        Ok(Self {
            directory: required(non_empty(wire.directory), "directory")?,
            limit: wire.limit,
            model: wire.model,
        })
    }
}

fn cache_type(text: &str) -> Result<CacheType, Fault> {
    if text.is_empty() {
        return Ok(CacheType::Auto);
    }
    CacheType::parse(text).ok_or_else(|| Fault::invalid(format!("{text:?} is no type of cache")))
}

impl From<WorkerLoadEvent> for worker_v1::LoadResponse {
    fn from(event: WorkerLoadEvent) -> Self {
        use worker_v1::load_response::Event;
        let event = match event {
            WorkerLoadEvent::Progress(progress) => Event::Progress(progress.into()),
            WorkerLoadEvent::Loaded(loaded) => Event::Loaded(loaded.into()),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<worker_v1::LoadResponse> for WorkerLoadEvent {
    type Error = Fault;

    fn try_from(wire: worker_v1::LoadResponse) -> Result<Self, Fault> {
        use worker_v1::load_response::Event;
        match answered(wire.event, "event")? {
            Event::Progress(progress) => Ok(Self::Progress(progress.try_into()?)),
            Event::Loaded(loaded) => Ok(Self::Loaded(loaded.into())),
        }
    }
}

impl From<Loaded> for worker_v1::Loaded {
    fn from(loaded: Loaded) -> Self {
        Self {
            device: loaded.device,
            context_length: loaded.context_length,
            variant: loaded.variant,
            level: loaded
                .level
                .map(|level| level.as_str().to_owned())
                .unwrap_or_default(),
            prepacked: loaded.prepacked,
            cache_type: loaded.cache_type,
            warnings: loaded.warnings,
        }
    }
}

impl From<worker_v1::Loaded> for Loaded {
    fn from(wire: worker_v1::Loaded) -> Self {
        Self {
            device: wire.device,
            context_length: wire.context_length,
            variant: wire.variant,
            level: Quantization::parse(&wire.level),
            prepacked: wire.prepacked,
            cache_type: wire.cache_type,
            warnings: wire.warnings,
        }
    }
}
