//! The worker's side of `worker.proto`.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use airunner_core::generate::GenerateRequest;
use airunner_core::model::{Loaded, WorkerLoad, WorkerLoadEvent};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_core::{ErrorKind, Fault};
use airunner_platform::cpu;
use airunner_proto::convert::status_from_fault;
use airunner_proto::worker_v1::worker_server::Worker;
use airunner_proto::{v1, worker_v1};
use airunner_runtimes::{CacheOnDisk, Kernels, LlmRuntime, LoadOptions};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type LoadSender = mpsc::Sender<Result<WorkerLoadEvent, Fault>>;

/// Load progress that may wait for the daemon.
const CAPACITY: usize = 64;

pub(super) struct Service {
    runtime: Arc<OnceLock<Arc<dyn LlmRuntime>>>,
    end: CancellationToken,
}

impl Service {
    pub(super) fn new(end: CancellationToken) -> Self {
        Self {
            runtime: Arc::default(),
            end,
        }
    }

    fn runtime(&self) -> Result<Arc<dyn LlmRuntime>, Status> {
        let runtime = self.runtime.get().cloned();
        runtime.ok_or_else(|| status_from_fault(&Fault::internal("the worker has loaded nothing yet")))
    }
}

#[tonic::async_trait]
impl Worker for Service {
    type LoadStream = Events<worker_v1::LoadResponse>;
    type GenerateStream = Events<v1::GenerateResponse>;

    async fn load(
        &self,
        request: Request<worker_v1::LoadRequest>,
    ) -> Result<Response<Self::LoadStream>, Status> {
        let load = WorkerLoad::try_from(request.into_inner()).map_err(|fault| status_from_fault(&fault))?;
        let (sender, events) = mpsc::channel(CAPACITY);
        tokio::spawn(drive_load(
            load,
            Arc::clone(&self.runtime),
            sender,
            self.end.clone(),
        ));
        Ok(Response::new(wire(ReceiverStream::new(events))))
    }

    async fn generate(
        &self,
        request: Request<worker_v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let arrived = Instant::now();
        let request =
            GenerateRequest::try_from(request.into_inner()).map_err(|fault| status_from_fault(&fault))?;
        let runtime = self.runtime()?;
        // A long prompt takes its time to become tokens; others are answered meanwhile.
        let events = blocking(move || runtime.generate(request, arrived)).await?;
        Ok(Response::new(wire(ReceiverStream::new(events))))
    }

    async fn tokenize(
        &self,
        request: Request<v1::TokenizeRequest>,
    ) -> Result<Response<v1::TokenizeResponse>, Status> {
        let request =
            TokenizeRequest::try_from(request.into_inner()).map_err(|fault| status_from_fault(&fault))?;
        let runtime = self.runtime()?;
        let tokens = blocking(move || runtime.tokenize(&request.input)).await?;
        Ok(Response::new(v1::TokenizeResponse { tokens }))
    }

    async fn detokenize(
        &self,
        request: Request<v1::DetokenizeRequest>,
    ) -> Result<Response<v1::DetokenizeResponse>, Status> {
        let request =
            DetokenizeRequest::try_from(request.into_inner()).map_err(|fault| status_from_fault(&fault))?;
        let runtime = self.runtime()?;
        let text = blocking(move || runtime.detokenize(&request.tokens, request.skip_special_tokens)).await?;
        Ok(Response::new(v1::DetokenizeResponse { text }))
    }

    async fn trim(
        &self,
        _request: Request<worker_v1::TrimRequest>,
    ) -> Result<Response<worker_v1::TrimResponse>, Status> {
        let runtime = self.runtime()?;
        blocking(move || runtime.trim()).await?;
        Ok(Response::new(worker_v1::TrimResponse {}))
    }

    async fn use_threads(
        &self,
        request: Request<worker_v1::UseThreadsRequest>,
    ) -> Result<Response<worker_v1::UseThreadsResponse>, Status> {
        let most = request.into_inner().threads as usize;
        let threads = u32::try_from(self.runtime()?.use_threads(most)).unwrap_or(u32::MAX);
        Ok(Response::new(worker_v1::UseThreadsResponse { threads }))
    }
}

/// Loads on a thread of its own. A daemon that stops listening wants the worker gone.
async fn drive_load(
    load: WorkerLoad,
    place: Arc<OnceLock<Arc<dyn LlmRuntime>>>,
    sender: LoadSender,
    end: CancellationToken,
) {
    let progress = sender.clone();
    let work = tokio::task::spawn_blocking(move || load_into(&load, &place, &progress));
    let outcome = tokio::select! {
        outcome = work => outcome.unwrap_or_else(|error| Err(Fault::internal(format!("the load failed: {error}")))),
        () = sender.closed() => return end.cancel(),
    };
    if sender.send(outcome.map(WorkerLoadEvent::Loaded)).await.is_err() {
        end.cancel();
    }
}

fn load_into(
    load: &WorkerLoad,
    place: &OnceLock<Arc<dyn LlmRuntime>>,
    progress: &LoadSender,
) -> Result<Loaded, Fault> {
    if place.get().is_some() {
        return Err(Fault::new(
            ErrorKind::Busy,
            "this worker has loaded its model already",
        ));
    }
    let mut report = |reached| drop(progress.try_send(Ok(WorkerLoadEvent::Progress(reached))));
    let runtime: Arc<dyn LlmRuntime> = airunner_runtimes::load(&options(load)?, &mut report)?.into();
    let loaded = runtime.loaded().clone();
    let kept = place.set(runtime);
    kept.map_err(|_| Fault::new(ErrorKind::Busy, "this worker has loaded its model already"))?;
    Ok(loaded)
}

fn options(load: &WorkerLoad) -> Result<LoadOptions, Fault> {
    let kernels = load.kernels.as_deref().map(str::parse::<Kernels>).transpose();
    let kernels = kernels.map_err(|error| Fault::invalid(error.to_string()))?;
    Ok(LoadOptions {
        directory: PathBuf::from(&load.directory),
        onnxruntime_library: PathBuf::from(&load.onnxruntime_library),
        threads: Some(
            load.threads
                .map_or_else(cpu::usable_cores, |threads| threads as usize),
        ),
        allow_spinning: load.allow_spinning,
        context_length: load.context_length,
        parallel_requests: load.parallel_requests as usize,
        queue_length: load.queue_length as usize,
        prompt_chunk: load.prompt_chunk as usize,
        variant: load.variant.clone(),
        prepacked_directory: load.prepacked_directory.as_ref().map(PathBuf::from),
        kernels: kernels.unwrap_or_default(),
        cache_type: load.cache_type,
        cache_on_disk: load.cache_on_disk.as_ref().map(|cache| CacheOnDisk {
            directory: PathBuf::from(&cache.directory),
            limit: cache.limit,
            model: cache.model.clone(),
        }),
    })
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Status> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|fault| status_from_fault(&fault)),
        Err(error) => Err(status_from_fault(&Fault::internal(format!(
            "work in the background failed: {error}"
        )))),
    }
}

fn wire<T, W>(events: impl Stream<Item = Result<T, Fault>> + Send + 'static) -> Events<W>
where
    W: From<T> + 'static,
    T: 'static,
{
    Box::pin(events.map(|event| event.map(W::from).map_err(|fault| status_from_fault(&fault))))
}
