//! The composition root: build, run, shut down. The only file that knows everyone.

mod assembly;
mod background;
mod live;
mod offline;
mod options;
mod telling;
mod works;

use std::sync::Arc;
use std::time::Duration;

use airunner_core::Fault;
use airunner_platform::{Endpoint, Installation, InstanceLock, Places, Signal, Signals, supervision};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::activities::Activities;
use crate::catalog::{self, Catalog};
use crate::config::{Environment, Settings, Written};
use crate::conversations::Conversations;
use crate::downloads::Downloads;
use crate::events;
use crate::hardware::Hardware;
use crate::heart::Heart;
use crate::http::{self, Api};
use crate::inference::Inference;
use crate::ipc::{About, Echo, Server, Services};
use crate::jobs::Jobs;
use crate::keys::Keys;
use crate::logging;
use crate::models::Models;
use crate::notifications::Notifications;
use crate::pause::Pausing;
use crate::power;
use crate::quantize::Quantizer;
use crate::responses::Responses;
use crate::settings::{self, Book};
use crate::shutdown::Ending;
use crate::spilled::Keeper;
use crate::storage::{self, Storage};
use crate::traces::{self, Tracer};
use crate::usage::Usage;
use assembly::Assembly;
use background::{clear_sockets, keep_conversations, keep_packed_copies, preload, quantize_options};
use live::{Running, SystemLogin};
pub use offline::{SETTINGS, answer_about_settings};
use options::{download_options, onnxruntime_library, worker_options};
use telling::Telling;
use works::works;

/// How long workers may take to be gone once nobody waits for requests any more, beyond what
/// they are given to end by themselves.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the database may take to close.
const STORAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a collector may take to be told the last traces.
const TRACES_TIMEOUT: Duration = Duration::from_secs(2);
/// How long everything but requests and workers may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open connections may take to be closed once everything else has ended.
const CONNECTIONS_TIMEOUT: Duration = Duration::from_secs(1);

/// Runs the daemon until it is asked to end.
pub async fn run(foreground: bool) -> Result<(), Fault> {
    let started = Instant::now();
    let environment = Environment::of_process();
    let places = Places::from_environment()?;
    places.create()?;
    let written = Written::read(&places.config_file(), &environment)?;
    let settings = written.settings();
    let lock = InstanceLock::acquire(&places).await?;
    let log = logging::start(&settings.log, &places.log_file(), foreground)
        .map_err(|error| Fault::internal(format!("cannot start the log: {error}")))?;
    let outcome = Daemon::build(&places, written, environment, foreground, started).await;
    let outcome = match outcome {
        Ok(daemon) => daemon.run(&settings).await,
        Err(fault) => Err(fault),
    };
    match &outcome {
        Ok(()) => tracing::info!(event = "daemon_ended", "the daemon has ended"),
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
    settings: settings::Handle,
    models: Models,
    actor: JoinHandle<()>,
    downloads: Downloads,
    jobs: Jobs,
    notifications: Notifications,
    notifications_actor: JoinHandle<()>,
    hardware_actor: JoinHandle<()>,
    usage: Usage,
    usage_actor: JoinHandle<()>,
    keys: Keys,
    keys_actor: JoinHandle<()>,
    storage: Storage,
    responses: Responses,
    tracer: Tracer,
    http: JoinHandle<()>,
    heart: Option<JoinHandle<()>>,
    server: JoinHandle<Result<(), Fault>>,
}

impl Daemon {
    async fn build(
        places: &Places,
        written: Written,
        environment: Environment,
        attached: bool,
        started: Instant,
    ) -> Result<Self, Fault> {
        let settings = &written.settings();
        for name in environment.unknown() {
            tracing::warn!(name, "an environment variable looks like a setting and is none");
        }
        let installation = Installation::locate()
            .map_err(|error| Fault::internal(format!("cannot find this program: {error}")))?;
        let library = onnxruntime_library(settings, &environment, &installation);
        let signals = Signals::listen(attached)
            .map_err(|error| Fault::internal(format!("cannot listen for signals: {error}")))?;
        clear_sockets(places);
        let storage = Storage::open(&places.data.join(storage::FILE_NAME))?;
        let (usage, usage_actor) = Usage::new(storage.clone());
        let (responses, responses_actor) = Responses::new(storage.clone());
        let (keys, keys_actor) = Keys::open(&places.data, storage.clone()).await?;
        let catalog = Catalog::new(
            places.config.join(catalog::FILE_NAME),
            settings.runtime.context_length,
        );
        let (publisher, hub) = events::hub();
        let (downloads_publisher, http_publisher) = (publisher.clone(), publisher.clone());
        let services_hub = hub.clone();
        let activities = Activities::new(publisher.clone(), hub.clone());
        let telling = Telling {
            storage: storage.clone(),
            publisher: publisher.clone(),
            hub: hub.clone(),
        };
        let (hardware, hardware_actor) = Hardware::new();
        let worker_options = {
            let (places, installation, library) = (places.clone(), installation.clone(), library.clone());
            move |settings: &Settings| worker_options(&places, settings, &installation, library.as_deref())
        };
        let workers_now = Arc::new(worker_options(settings));
        let (workers, workers_seen) = watch::channel(Arc::clone(&workers_now));
        let (kernels, kernels_seen) = watch::channel(settings.models.kernels);
        let kept = places.conversations();
        let (cache_on_disk, keeper) = keep_conversations(&kept, settings.models.cache_on_disk);
        let (limits, limits_seen) = watch::channel(http::Limits::from(&settings.http));
        let (models, actor) = Assembly {
            places,
            settings,
            workers: workers_seen,
            installation: &installation,
            paused: Pausing::kept(&storage).await?,
        }
        .models(publisher, hub, storage.clone(), usage.clone(), hardware.clone())?;
        let (pausing, pause_actor) = Pausing::new(models.clone(), storage.clone());
        let options = download_options(places, settings, &environment)?;
        let (downloads, downloads_actor) = Downloads::open(
            options,
            storage.clone(),
            Arc::new(models.clone()),
            Arc::new(catalog.clone()),
            downloads_publisher,
        )
        .await?;
        let quantizer = Quantizer::new(models.clone(), quantize_options(&workers_now));
        let works = works(&activities, &downloads, &models, &quantizer);
        let (jobs, jobs_actor) = Jobs::new(works, storage.clone());
        let (notifications, notifications_actor) =
            telling.begin(&settings.notifications, &models, &downloads, &jobs);
        let ending = Ending::default();
        let listener = supervision::listen(places)?;
        let socket = listener.endpoint().to_string();
        let tracer = trace(settings)?;
        let inference = Inference::new(
            models.clone(),
            usage.clone(),
            tracer.clone(),
            settings.daemon.reader_timeout,
        );
        let login = Arc::new(SystemLogin::new());
        let book = Book::new(places.config_file(), environment, login);
        let (handle, settings_actor) = settings::Handle::new(book, written.clone());
        let api = Api {
            started,
            catalog: catalog.clone(),
            conversations: Conversations::new(storage.clone()),
            downloads: downloads.clone(),
            hardware: hardware.clone(),
            inference: inference.clone(),
            jobs: jobs.clone(),
            keys: keys.clone(),
            models: models.clone(),
            pausing: pausing.clone(),
            notifications: notifications.clone(),
            quantizer: quantizer.clone(),
            responses: responses.clone(),
            settings: handle.clone(),
            tracer: tracer.clone(),
            usage: usage.clone(),
            ending: ending.clone(),
            limits: limits_seen,
        };
        let (http, http_task) = http::Handle::start(
            http::Setting {
                settings: &settings.http,
                data: &places.data,
                reader_timeout: settings.daemon.reader_timeout,
            },
            api,
            http_publisher,
        )
        .await;
        let (power_hardware, quantizing) = (hardware.clone(), quantizer.working());
        let about = About {
            started,
            socket: socket.clone(),
            onnxruntime_library: library.as_ref().map(|library| library.display().to_string()),
            traces: settings.telemetry.otlp_endpoint.clone(),
        };
        let services = Services {
            about,
            hub: services_hub,
            activities,
            catalog,
            downloads: downloads.clone(),
            hardware,
            models: models.clone(),
            pausing,
            quantizer,
            inference,
            keys: keys.clone(),
            notifications: notifications.clone(),
            settings: handle.clone(),
            usage: usage.clone(),
            ending: ending.clone(),
        };
        let server = tokio::spawn(Server::new(services).await?.serve(listener));
        let actor = tokio::spawn(actor.run());
        let hardware_actor = tokio::spawn(hardware_actor.run(Arc::new(models.clone())));
        let usage_actor = tokio::spawn(usage_actor.run());
        tokio::spawn(responses_actor.run());
        let keys_actor = tokio::spawn(keys_actor.run());
        tokio::spawn(pause_actor.run());
        let running = Running {
            models: models.clone(),
            usage: usage.clone(),
            notifications: notifications.clone(),
            workers,
            worker_options: Box::new(worker_options),
            kernels,
            conversations: places.conversations(),
            cache_on_disk,
            limits,
            http,
        };
        tokio::spawn(settings_actor.run(Arc::new(running)));
        let parts = power::Parts {
            models: models.clone(),
            hardware: power_hardware,
            settings: handle.watch(),
            quantizing,
        };
        tokio::spawn(power::keep(parts, ending.clone()));
        tokio::spawn(downloads_actor.run());
        tokio::spawn(jobs_actor.run());
        keep_packed_copies(
            places,
            settings,
            &workers_now,
            kernels_seen,
            models.clone(),
            ending.clone(),
        );
        tokio::spawn(Keeper::new(models.clone(), kept, keeper).run(ending.clone()));
        tokio::spawn(models.clone().sweep_blobs(ending.clone()));
        tokio::spawn(preload(models.clone(), usage.clone(), settings.models.clone()));
        let patience = settings.daemon.grace + settings.worker.stop_timeout + WORKERS_TIMEOUT + END_TIMEOUT;
        let echo = Box::new(Echo::new(Endpoint::of_daemon(places)));
        let heart = Heart::begin(models.clone(), echo, ending.clone(), patience).await?;
        tracing::info!(
            event = "daemon_ready",
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
            settings: handle,
            models,
            actor,
            downloads,
            jobs,
            notifications,
            notifications_actor,
            hardware_actor,
            usage,
            usage_actor,
            keys,
            keys_actor,
            storage,
            responses,
            tracer,
            http: http_task,
            heart,
            server,
        })
    }

    async fn run(mut self, settings: &Settings) -> Result<(), Fault> {
        let failed = tokio::select! {
            () = self.ending.asked() => None,
            signal = asked(&mut self.signals, &self.settings) => {
                tracing::info!(signal, "the daemon was asked to end");
                None
            }
            served = &mut self.server => Some(joined(served)),
            _ = &mut self.actor => Some(Err(Fault::internal("the owner of the models failed"))),
        };
        self.ending.ask();
        self.end_heart().await;
        self.end_downloads().await;
        self.end_models(settings).await;
        self.end_hardware().await;
        self.end_http().await;
        self.tracer.end(TRACES_TIMEOUT).await;
        self.end_storage().await;
        match failed {
            Some(failure) => failure,
            None => self.end_connections().await,
        }
    }

    /// The service manager hears first that the end has begun.
    async fn end_heart(&mut self) {
        if let Some(heart) = &mut self.heart
            && tokio::time::timeout(CONNECTIONS_TIMEOUT, heart).await.is_err()
        {
            tracing::warn!("the service manager was not told of the end in time");
        }
    }

    /// They stop where they are and go on at the next start.
    async fn end_downloads(&self) {
        self.jobs.shutdown().await;
        if tokio::time::timeout(STORAGE_TIMEOUT, self.downloads.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("the downloads did not stop in time");
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
            signal = self.signals.end() => tracing::info!(signal, "the daemon was asked again to end"),
        }
        self.models.abandon().await;
        let patience = settings.worker.stop_timeout + WORKERS_TIMEOUT;
        tokio::select! {
            () = &mut gone => {}
            () = tokio::time::sleep(patience) => tracing::warn!("workers are killed that did not end"),
            signal = self.signals.end() => tracing::info!(signal, "workers are killed"),
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

    /// It ends with the owner of the models.
    async fn end_hardware(&mut self) {
        let ended = tokio::time::timeout(CONNECTIONS_TIMEOUT, &mut self.hardware_actor);
        if ended.await.is_err() {
            tracing::warn!("looking at the machine did not end in time");
        }
    }

    /// What was counted is written down, and the database is closed.
    async fn end_storage(&mut self) {
        let end = async {
            self.notifications.end().await;
            drop((&mut self.notifications_actor).await);
            self.usage.end().await;
            drop((&mut self.usage_actor).await);
            self.keys.end().await;
            drop((&mut self.keys_actor).await);
            self.storage.close().await;
        };
        if tokio::time::timeout(STORAGE_TIMEOUT, end).await.is_err() {
            tracing::warn!("the database did not close in time");
        }
    }

    /// What was answered is told and kept before the database closes.
    async fn end_http(&mut self) {
        if tokio::time::timeout(CONNECTIONS_TIMEOUT, &mut self.http)
            .await
            .is_err()
        {
            tracing::debug!("open HTTP connections are cut");
            self.http.abort();
        }
        if tokio::time::timeout(CONNECTIONS_TIMEOUT, self.responses.end())
            .await
            .is_err()
        {
            tracing::warn!("the stored answers did not end in time");
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

/// Until a signal asks for the end; one that asks for the settings to be read again is obeyed.
async fn asked(signals: &mut Signals, settings: &settings::Handle) -> &'static str {
    loop {
        match signals.next().await {
            Signal::End(name) => return name,
            Signal::Reload => match settings.reload().await {
                Ok(changed) => tracing::info!(changed = changed.len(), "the settings were read again"),
                Err(fault) => tracing::error!("the settings stay as they were: {fault}"),
            },
        }
    }
}

fn joined(served: Result<Result<(), Fault>, tokio::task::JoinError>) -> Result<(), Fault> {
    served.unwrap_or_else(|error| Err(Fault::internal(format!("the server failed: {error}"))))
}

/// Tells a collector of every request, if that is wanted.
fn trace(settings: &Settings) -> Result<Tracer, Fault> {
    let Some(endpoint) = &settings.telemetry.otlp_endpoint else {
        return Ok(Tracer::default());
    };
    tracing::warn!(endpoint, "traces of requests are sent to a collector");
    let (tracer, exporter) = traces::start(endpoint)?;
    tokio::spawn(exporter.run());
    Ok(tracer)
}
