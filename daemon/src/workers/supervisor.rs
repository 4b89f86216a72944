//! The life of one worker process, from start to end.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use airunner_core::lifecycle::Stop;
use airunner_core::model::{LoadProgress, Loaded, WorkerLoad, WorkerLoadEvent};
use airunner_core::{ErrorKind, Fault};
use airunner_platform::{ChildLimits, Endpoint, process};
use futures_util::StreamExt as _;
use tokio::sync::{oneshot, watch};

use super::client::Client;
use super::process::Process as WorkerProcess;
use super::{Launcher, News, Order, Reports, WorkerHandle};
use crate::config::LogLevel;

/// How often the memory of a loaded model is looked at.
const MEMORY_PERIOD: Duration = Duration::from_secs(2);
/// A worker whose connection broke is given this long to be seen dead.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What every worker gets.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The executable that has the `worker` subcommand.
    pub executable: PathBuf,
    /// Directory for the private sockets.
    pub sockets: PathBuf,
    pub limits: ChildLimits,
    pub log_level: LogLevel,
    pub load_timeout: Duration,
    pub stop_timeout: Duration,
    /// It need not exist: a worker that needs it says what is wrong with it.
    pub onnxruntime_library: PathBuf,
    /// The rest of what a load needs; directory and library are filled in.
    pub load: WorkerLoad,
}

/// Starts true processes, each as is wanted at that moment.
pub struct ProcessLauncher {
    options: watch::Receiver<Arc<WorkerOptions>>,
    count: AtomicU32,
}

impl ProcessLauncher {
    #[must_use]
    pub const fn new(options: watch::Receiver<Arc<WorkerOptions>>) -> Self {
        Self {
            options,
            count: AtomicU32::new(0),
        }
    }
}

impl Launcher for ProcessLauncher {
    fn launch(&self, order: Order, reports: Reports) -> WorkerHandle {
        let (handle, stop) = WorkerHandle::new();
        let options = Arc::clone(&self.options.borrow());
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        // A worker of an earlier daemon may still be about to remove its own socket.
        let name = format!("{}-{number}.sock", std::process::id());
        let endpoint = Endpoint::at(options.sockets.join(name));
        let worker = Worker {
            options,
            order,
            reports,
            endpoint,
        };
        tokio::spawn(worker.live(stop));
        handle
    }
}

/// What made a phase end early.
enum End {
    /// Somebody wants it to stop.
    Stop(Stop),
    /// The process died by itself.
    Died(Fault),
    /// The load failed, the process lives.
    Failed(Fault),
}

struct Worker {
    options: Arc<WorkerOptions>,
    order: Order,
    reports: Reports,
    endpoint: Endpoint,
}

impl Worker {
    async fn live(self, mut stop: oneshot::Receiver<Stop>) {
        let options = &self.options;
        let process = WorkerProcess::start(
            &options.executable,
            &self.endpoint,
            &options.limits,
            options.log_level,
            &self.order.model,
        );
        let mut process = match process {
            Ok(process) => process,
            Err(fault) => {
                return self
                    .reports
                    .send(News::LoadFailed {
                        fault,
                        crashed: false,
                    })
                    .await;
            }
        };
        let pid = process.pid;
        tracing::info!(model = %self.order.model, pid, attempt = %self.order.attempt, "worker started");
        self.reports.send(News::Started { pid }).await;
        let loaded = self.load(&mut process, &mut stop).await;
        // Nobody else is to connect, and nothing is to be left behind.
        self.endpoint.remove();
        let end = match loaded {
            Ok(()) => self.serve(&mut process, &mut stop).await,
            Err(end) => end,
        };
        self.end(process, end).await;
    }

    /// Until the model can be used.
    async fn load(&self, process: &mut WorkerProcess, stop: &mut oneshot::Receiver<Stop>) -> Result<(), End> {
        let deadline = tokio::time::sleep(self.options.load_timeout);
        let outcome = tokio::select! {
            biased;
            wish = stop => return Err(End::Stop(wish.unwrap_or(Stop::Kill))),
            () = deadline => Err(self.too_slow()),
            outcome = self.prepare(process) => outcome,
        };
        match outcome {
            Ok((loaded, client)) => {
                for warning in &loaded.warnings {
                    tracing::warn!(model = %self.order.model, "{warning}");
                }
                self.report_memory(process.pid).await;
                self.reports
                    .send(News::Loaded {
                        loaded,
                        llm: Arc::new(client),
                    })
                    .await;
                Ok(())
            }
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => Err(self.broken(process).await),
            Err(fault) => Err(End::Failed(fault)),
        }
    }

    async fn prepare(&self, process: &mut WorkerProcess) -> Result<(Loaded, Client), Fault> {
        if !process.is_ready().await {
            return Err(Fault::new(
                ErrorKind::DaemonNotRunning,
                "the worker does not listen",
            ));
        }
        let mut client = Client::connect(&self.endpoint).await?;
        let mut events = client.load(self.what_to_load()?).await?;
        while let Some(event) = events.next().await {
            match event? {
                WorkerLoadEvent::Progress(progress) => self.report_progress(progress, process.pid).await,
                WorkerLoadEvent::Loaded(loaded) => return Ok((loaded, client)),
            }
        }
        Err(Fault::internal("the worker ended the load without a result"))
    }

    fn what_to_load(&self) -> Result<WorkerLoad, Fault> {
        let text = |path: &PathBuf| {
            path.to_str().map(str::to_owned).ok_or_else(|| {
                Fault::invalid(format!(
                    "the path {} is not Unicode text: move it to one that is",
                    path.display()
                ))
            })
        };
        if !self.order.directory.is_dir() {
            return Err(Fault::new(
                ErrorKind::ModelInvalid,
                format!(
                    "the files of the model are gone from {}: remove it and import it again",
                    self.order.directory.display()
                ),
            ));
        }
        let mut load = self.options.load.clone();
        load.directory = text(&self.order.directory)?;
        load.onnxruntime_library = text(&self.options.onnxruntime_library)?;
        load.variant.clone_from(&self.order.variant);
        load.context_length = self.order.context_length.or(load.context_length);
        if let Some(cache) = &mut load.cache_on_disk {
            cache.model = self.order.model.to_string();
        }
        Ok(load)
    }

    /// Until somebody wants it to end, or it dies.
    async fn serve(&self, process: &mut WorkerProcess, stop: &mut oneshot::Receiver<Stop>) -> End {
        let pid = process.pid;
        let mut memory = tokio::time::interval(MEMORY_PERIOD);
        memory.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                wish = &mut *stop => return End::Stop(wish.unwrap_or(Stop::Kill)),
                fault = process.ended() => return End::Died(fault),
                _ = memory.tick() => self.report_memory(pid).await,
            }
        }
    }

    async fn end(self, process: WorkerProcess, end: End) {
        let pid = process.pid;
        // The most it ever held is known only while it lives.
        self.report_memory(pid).await;
        let (how, news) = match end {
            End::Stop(Stop::Graceful) => (process.stop(self.options.stop_timeout).await, News::Stopped),
            End::Stop(Stop::Kill) => {
                process.kill().await;
                ("was ended at once".to_owned(), News::Stopped)
            }
            End::Failed(fault) => (
                process.stop(self.options.stop_timeout).await,
                News::LoadFailed {
                    fault,
                    crashed: false,
                },
            ),
            End::Died(fault) => {
                tracing::warn!(model = %self.order.model, pid, "{fault}");
                return self.reports.send(News::Exited(fault)).await;
            }
        };
        tracing::info!(model = %self.order.model, pid, "the worker {how}");
        self.reports.send(news).await;
    }

    /// The connection broke: usually because the process died.
    async fn broken(&self, process: &mut WorkerProcess) -> End {
        match tokio::time::timeout(LAST_WORDS, process.ended()).await {
            Ok(fault) => End::Died(fault),
            Err(_) => End::Failed(Fault::internal(
                "the connection to the worker broke while it loaded the model",
            )),
        }
    }

    fn too_slow(&self) -> Fault {
        let seconds = self.options.load_timeout.as_secs();
        Fault::new(
            ErrorKind::DeadlineExceeded,
            format!(
                "the model did not load within {seconds} s: raise worker.load_timeout_seconds if this machine is slow"
            ),
        )
    }

    async fn report_progress(&self, progress: LoadProgress, pid: u32) {
        self.report_memory(pid).await;
        self.reports.send(News::Progress(progress)).await;
    }

    async fn report_memory(&self, pid: u32) {
        if let Some(memory) = process::memory(pid) {
            self.reports.send(News::Memory(memory)).await;
        }
    }
}
