//! The composition root: build, run, shut down. The only file that knows everyone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::Fault;
use airunner_core::lifecycle::Limits;
use airunner_core::model::WorkerLoad;
use airunner_platform::endpoint::Stale;
use airunner_platform::{ChildLimits, Endpoint, Installation, InstanceLock, Listener, Places, Signals, cpu};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::{Environment, Settings};
use crate::inference::Inference;
use crate::ipc::{About, Server, Services};
use crate::logging;
use crate::models::{Actor, Models, Store};
use crate::shutdown::Ending;
use crate::workers::{ProcessLauncher, WorkerOptions};

/// How long workers may take to be gone once nobody waits for requests any more, beyond what
/// they are given to end by themselves.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long open connections may take to be closed once everything else has ended.
const CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the daemon until it is asked to end.
pub async fn run(foreground: bool) -> Result<(), Fault> {
    let started = Instant::now();
    let environment = Environment::of_process();
    let places = Places::from_environment()?;
    places.create()?;
    let settings = Settings::read(&places.config_file(), &environment)?;
    let lock = InstanceLock::acquire(&places).await?;
    let log = logging::start(&settings.log, &places.log_file(), foreground)
        .map_err(|error| Fault::internal(format!("cannot start the log: {error}")))?;
    let outcome = Daemon::build(&places, &settings, &environment, started).await;
    let outcome = match outcome {
        Ok(daemon) => daemon.run(&settings).await,
        Err(fault) => Err(fault),
    };
    match &outcome {
        Ok(()) => tracing::info!("the daemon has ended"),
        Err(fault) => tracing::error!(reason = %fault.kind, "the daemon ends: {fault}"),
    }
    drop(lock);
    drop(log);
    outcome
}

/// Everything that runs.
struct Daemon {
    ending: Ending,
    signals: Signals,
    models: Models,
    actor: JoinHandle<()>,
    server: JoinHandle<Result<(), Fault>>,
}

impl Daemon {
    async fn build(
        places: &Places,
        settings: &Settings,
        environment: &Environment,
        started: Instant,
    ) -> Result<Self, Fault> {
        for name in environment.unknown() {
            tracing::warn!(name, "an environment variable looks like a setting and is none");
        }
        let installation = Installation::locate()
            .map_err(|error| Fault::internal(format!("cannot find this program: {error}")))?;
        let library = onnxruntime_library(settings, environment, &installation);
        let signals = Signals::listen()
            .map_err(|error| Fault::internal(format!("cannot listen for signals: {error}")))?;
        clear_sockets(places);
        let (models, actor) = models(places, settings, &installation, library.clone())?;
        let ending = Ending::default();
        let listener = Listener::bind(Endpoint::of_daemon(places), Stale::Replace)?;
        let socket = listener.endpoint().to_string();
        let about = About {
            started,
            socket: socket.clone(),
            onnxruntime_library: library.map(|library| library.display().to_string()),
        };
        let services = Services {
            about,
            models: models.clone(),
            inference: Inference::new(models.clone(), settings.daemon.reader_timeout),
            ending: ending.clone(),
        };
        let server = tokio::spawn(Server::new(services).await?.serve(listener));
        let actor = tokio::spawn(actor.run());
        tracing::info!(
            pid = std::process::id(),
            version = env!("CARGO_PKG_VERSION"),
            socket,
            models = models.list().len(),
            milliseconds = started.elapsed().as_secs_f64() * 1e3,
            "the daemon is ready"
        );
        Ok(Self {
            ending,
            signals,
            models,
            actor,
            server,
        })
    }

    async fn run(mut self, settings: &Settings) -> Result<(), Fault> {
        let failed = tokio::select! {
            () = self.ending.asked() => None,
            signal = self.signals.next() => {
                tracing::info!(signal, "the daemon was asked to end");
                None
            }
            served = &mut self.server => Some(joined(served)),
            _ = &mut self.actor => Some(Err(Fault::internal("the owner of the models failed"))),
        };
        self.ending.ask();
        self.end_models(settings).await;
        match failed {
            Some(failure) => failure,
            None => self.end_connections().await,
        }
    }

    /// Requests may finish within the grace time; then the workers end.
    async fn end_models(&mut self, settings: &Settings) {
        let grace = settings.daemon.grace;
        let models = self.models.clone();
        let mut gone = std::pin::pin!(models.shutdown(grace));
        tokio::select! {
            () = &mut gone => return self.end_actor().await,
            () = tokio::time::sleep(grace) => tracing::info!("the grace time is over"),
            () = self.ending.hurried() => {}
            signal = self.signals.next() => tracing::info!(signal, "the daemon was asked again to end"),
        }
        self.models.abandon().await;
        let patience = settings.worker.stop_timeout + WORKERS_TIMEOUT;
        tokio::select! {
            () = &mut gone => {}
            () = tokio::time::sleep(patience) => tracing::warn!("workers are killed that did not end"),
            signal = self.signals.next() => tracing::info!(signal, "workers are killed"),
        }
        self.end_actor().await;
    }

    async fn end_actor(&mut self) {
        self.models.end().await;
        if self.actor.is_finished() {
            return;
        }
        if tokio::time::timeout(CONNECTIONS_TIMEOUT, &mut self.actor)
            .await
            .is_err()
        {
            tracing::warn!("the models did not end in time");
        }
    }

    async fn end_connections(self) -> Result<(), Fault> {
        let abort = self.server.abort_handle();
        match tokio::time::timeout(CONNECTIONS_TIMEOUT, self.server).await {
            Ok(served) => joined(served),
            Err(_) => {
                tracing::debug!("open connections are cut");
                abort.abort();
                Ok(())
            }
        }
    }
}

fn joined(served: Result<Result<(), Fault>, tokio::task::JoinError>) -> Result<(), Fault> {
    served.unwrap_or_else(|error| Err(Fault::internal(format!("the server failed: {error}"))))
}

fn models(
    places: &Places,
    settings: &Settings,
    installation: &Installation,
    library: Option<PathBuf>,
) -> Result<(Models, Actor), Fault> {
    let builtin = settings.models.builtin_directory.clone();
    let store = Store::open(
        places.models(),
        builtin.unwrap_or_else(|| installation.builtin_models()),
    )?;
    let launcher = ProcessLauncher::new(worker_options(places, settings, installation, library));
    let limits = Limits {
        keep_alive: settings.models.keep_alive,
        waiting: settings.models.max_waiting,
    };
    Ok(Models::new(store, limits, Arc::new(launcher)))
}

/// What workers of a daemon that died left behind.
fn clear_sockets(places: &Places) {
    let Ok(entries) = std::fs::read_dir(places.workers()) else {
        return;
    };
    for entry in entries.flatten() {
        Endpoint::at(entry.path()).remove();
    }
}

fn onnxruntime_library(
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

fn worker_options(
    places: &Places,
    settings: &Settings,
    installation: &Installation,
    library: Option<PathBuf>,
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
        onnxruntime_library: library.unwrap_or_else(|| installation.shipped_onnxruntime_library()),
        load: WorkerLoad {
            directory: String::new(),
            onnxruntime_library: String::new(),
            threads: Some(count(threads)),
            allow_spinning: runtime.allow_spinning,
            context_length: Some(runtime.context_length),
            parallel_requests: count(runtime.parallel_requests),
            queue_length: count(runtime.queue_length),
            prompt_chunk: count(runtime.prompt_chunk),
        },
    }
}
