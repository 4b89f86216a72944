//! The actor with workers that exist only on paper.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use airunner_core::event::{Event, WatchPayload};
use airunner_core::generate::{ClientId, GenerateRequest};
use airunner_core::lifecycle::{StateName, Stop, UnloadReason};
use airunner_core::memory::Budget;
use airunner_core::model::{LoadProgress, LoadRequest, LoadStage, Loaded, ModelKind, Source};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_core::{ErrorKind, Fault, KeepAlive, ModelName, Priority};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::paper::{Paperwork, parts};
use super::{Access, Acquisition, Installed, Lease, Models, Store, Turn};
use crate::events::{self, Watch};
use crate::workers::{Answer, Launcher, Llm, News, Order, Reports, WorkerHandle};

/// A worker on paper: the test plays its part.
pub(super) struct Paper {
    reports: Reports,
    stop: oneshot::Receiver<Stop>,
}

impl Paper {
    pub(super) async fn reports(&self, news: News) {
        self.reports.send(news).await;
    }

    pub(super) async fn loads(&self) {
        self.loads_as(Arc::new(Silent::default())).await;
    }

    pub(super) async fn loads_as(&self, llm: Arc<dyn Llm>) {
        self.reports(News::Started { pid: 4711 }).await;
        let progress = LoadProgress {
            stage: LoadStage::Weights,
            fraction: 0.5,
        };
        self.reports(News::Progress(progress)).await;
        let loaded = Loaded {
            device: "cpu".to_owned(),
            context_length: 64,
            variant: "x".to_owned(),
            warnings: Vec::new(),
            level: None,
            prepacked: false,
            cache_type: "f16".to_owned(),
        };
        self.reports(News::Loaded { loaded, llm }).await;
    }

    async fn crashes(&self) {
        self.reports(News::Exited(Fault::new(ErrorKind::WorkerCrashed, "it died")))
            .await;
    }

    /// Waits until it is told to stop, and does.
    pub(super) async fn stops(mut self) -> Stop {
        let stop = (&mut self.stop).await.unwrap();
        self.reports(News::Stopped).await;
        stop
    }
}

/// What a worker was told, and where its answer is expected.
pub(super) type Told = (u32, oneshot::Sender<Result<u32, Fault>>);

/// Says nothing. Where there is a sender, the test decides when it has its threads, and how many.
#[derive(Default)]
pub(super) struct Silent(pub(super) Option<mpsc::Sender<Told>>);

impl Llm for Silent {
    fn generate(&self, _request: GenerateRequest) -> BoxFuture<'static, Result<Answer, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn tokenize(&self, _request: TokenizeRequest) -> BoxFuture<'static, Result<Vec<u32>, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn detokenize(&self, _request: DetokenizeRequest) -> BoxFuture<'static, Result<String, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn trim(&self) -> BoxFuture<'static, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    fn use_threads(&self, most: u32) -> BoxFuture<'static, Result<u32, Fault>> {
        let Some(told) = &self.0 else {
            return async move { Ok(most) }.boxed();
        };
        let (answer, answered) = oneshot::channel();
        let told = told.try_send((most, answer)).is_ok();
        async move {
            assert!(told, "the test is over");
            answered
                .await
                .unwrap_or_else(|_| Err(Fault::internal("the worker is gone")))
        }
        .boxed()
    }
}

/// Hands every worker that is started to the test.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<VecDeque<Paper>>>);

impl Launcher for Desk {
    fn launch(&self, _order: Order, reports: Reports) -> WorkerHandle {
        let (handle, stop) = WorkerHandle::new();
        self.0.lock().unwrap().push_back(Paper { reports, stop });
        handle
    }
}

pub(super) struct World {
    _home: tempfile::TempDir,
    pub(super) models: Models,
    desk: Desk,
    pub(super) paperwork: Paperwork,
    changes: Watch,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with_budget(Budget::default()).await
    }

    pub(super) async fn with_budget(budget: Budget) -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
        let desk = Desk::default();
        let (publisher, hub) = events::hub();
        let keep_alive = KeepAlive::After(Duration::from_secs(300));
        let paperwork = Paperwork::default();
        let launcher = Arc::new(desk.clone());
        let parts = parts(launcher, paperwork.clone(), publisher, keep_alive, budget);
        let (models, actor) = Models::new(Arc::new(store), hub, parts, None);
        tokio::spawn(actor.run());
        for name in ["tiny", "other"] {
            models.installed(installed(&home, name)).await.unwrap();
        }
        let changes = models.watch();
        Self {
            _home: home,
            models,
            desk,
            paperwork,
            changes,
        }
    }

    pub(super) fn started(&self) -> Option<Paper> {
        self.desk.0.lock().unwrap().pop_front()
    }

    /// Waits for a model to be in a state, as a client sees it.
    pub(super) async fn until(&mut self, model: &str, state: StateName) {
        let name = name(model);
        loop {
            let message = self.changes.next().await.unwrap();
            let reached = match message.payload {
                WatchPayload::Snapshot(snapshot) => snapshot
                    .models
                    .iter()
                    .any(|model| model.name == name && model.state == state),
                WatchPayload::Event(Event::ModelChanged { model, .. }) => {
                    model.name == name && model.state == state
                }
                WatchPayload::Event(
                    Event::ModelRemoved(_)
                    | Event::MemoryChanged(_)
                    | Event::DownloadChanged(_)
                    | Event::ActivityChanged(_)
                    | Event::ActivityEnded(_)
                    | Event::NotificationChanged(_)
                    | Event::PauseChanged(_)
                    | Event::HttpChanged(_)
                    | Event::ShuttingDown { .. },
                ) => false,
            };
            if reached {
                return;
            }
        }
    }

    pub(super) async fn wants(&self, model: &str) -> Acquisition {
        self.models.acquire(access(model)).await.unwrap()
    }

    /// Loads a model and holds it.
    pub(super) async fn holds(&mut self, model: &str) -> (Paper, Lease) {
        let mut waiting = self.wants(model).await;
        self.until(model, StateName::Loading).await;
        let worker = self.started().unwrap();
        worker.loads().await;
        let lease = granted(&mut waiting).await.unwrap();
        (worker, lease)
    }
}

pub(super) fn access(model: &str) -> Access {
    Access {
        model: name(model),
        keep_alive: None,
        client: ClientId::default(),
        priority: Priority::Api,
        max_wait: None,
    }
}

pub(super) fn name(name: &str) -> ModelName {
    ModelName::new(name).unwrap()
}

fn installed(home: &tempfile::TempDir, model: &str) -> Installed {
    Installed {
        name: name(model),
        kind: ModelKind::Llm,
        size_bytes: 1,
        source: Source::Import("x".to_owned()),
        directory: home.path().join("models").join(model),
        defaults: airunner_core::defaults::Defaults::default(),
    }
}

pub(super) async fn granted(waiting: &mut Acquisition) -> Result<Lease, Fault> {
    loop {
        if let Turn::Granted(lease) = waiting.turn().await? {
            return Ok(lease);
        }
    }
}

pub(super) fn refusal(outcome: Result<Lease, Fault>) -> ErrorKind {
    match outcome {
        Ok(_) => panic!("it was granted"),
        Err(fault) => fault.kind,
    }
}

#[tokio::test]
async fn twenty_callers_share_one_load() {
    let mut world = World::new().await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(world.wants("tiny").await);
    }
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    assert!(world.started().is_none());
    worker.loads().await;
    let mut leases = Vec::new();
    for mut caller in waiting {
        leases.push(granted(&mut caller).await.unwrap());
    }
    let model = world.models.model(&name("tiny")).unwrap();
    let instance = model.instance.unwrap();
    assert_eq!(
        (model.state, instance.active_requests, instance.pid),
        (StateName::Busy, 20, 4711)
    );
    drop(leases);
    world.until("tiny", StateName::Loaded).await;
}

#[tokio::test]
async fn who_waits_sees_the_load_go_on() {
    let mut world = World::new().await;
    let mut waiting = world.wants("tiny").await;
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    worker.loads().await;
    let mut stages = Vec::new();
    let lease = loop {
        match waiting.turn().await.unwrap() {
            Turn::Loading(progress) => stages.push(progress.stage),
            Turn::Queued(_) => panic!("nobody is before it"),
            Turn::Granted(lease) => break lease,
        }
    };
    // Progress that comes together with the grant may be passed over, never reordered.
    assert!(stages.is_sorted(), "{stages:?}");
    drop(lease);
}

#[tokio::test]
async fn a_caller_that_leaves_gives_its_place_up() {
    let mut world = World::new().await;
    let waiting = world.wants("tiny").await;
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    drop(waiting);
    assert_eq!(worker.stops().await, Stop::Kill, "nobody waits for the load");
    world.until("tiny", StateName::Unloaded).await;
    let model = world.models.model(&name("tiny")).unwrap();
    assert_eq!(model.last_unload_reason, Some(UnloadReason::LoadCancelled));
}

#[tokio::test]
async fn a_crash_ends_its_requests_and_nobody_elses() {
    let mut world = World::new().await;
    let (worker, mut lease) = world.holds("tiny").await;
    let (_other, mut untouched) = world.holds("other").await;
    worker.crashes().await;
    assert_eq!(lease.cancelled().await.kind, ErrorKind::WorkerCrashed);
    world.until("tiny", StateName::Unloaded).await;
    assert!(untouched.cancelled().now_or_never().is_none());
    assert_eq!(world.models.model(&name("other")).unwrap().state, StateName::Busy);
}

#[tokio::test]
async fn reports_of_an_earlier_worker_change_nothing() {
    let mut world = World::new().await;
    let (old, lease) = world.holds("tiny").await;
    old.crashes().await;
    world.until("tiny", StateName::Unloaded).await;
    drop(lease);
    let (_new, mut lease) = world.holds("tiny").await;
    old.crashes().await;
    old.reports(News::Stopped).await;
    world.models.settle().await;
    assert!(lease.cancelled().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_idle_model_leaves_after_its_time_and_not_before() {
    let mut world = World::new().await;
    let (worker, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let before = tokio::time::Instant::now();
    assert_eq!(worker.stops().await, Stop::Graceful);
    assert_eq!(before.elapsed().as_secs(), 300);
    world.until("tiny", StateName::Unloaded).await;
    let model = world.models.model(&name("tiny")).unwrap();
    assert_eq!(model.last_unload_reason, Some(UnloadReason::IdleTimeout));
}

#[tokio::test]
async fn a_model_loaded_for_ever_says_so_and_a_load_at_zero_leaves_at_once() {
    let mut world = World::new().await;
    let load = |keep_alive| LoadRequest {
        keep_alive: Some(keep_alive),
        ..LoadRequest::new(name("tiny"))
    };
    let mut waiting = world.models.load(load(KeepAlive::Forever)).await.unwrap();
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    worker.loads().await;
    drop(granted(&mut waiting).await.unwrap());
    world.until("tiny", StateName::Loaded).await;
    assert_eq!(
        world
            .models
            .model(&name("tiny"))
            .unwrap()
            .instance
            .unwrap()
            .expires_at,
        None
    );

    let mut waiting = world
        .models
        .load(load(KeepAlive::After(Duration::ZERO)))
        .await
        .unwrap();
    drop(granted(&mut waiting).await.unwrap());
    assert_eq!(worker.stops().await, Stop::Graceful);
    world.until("tiny", StateName::Unloaded).await;
}

#[tokio::test]
async fn unload_answers_when_the_worker_is_gone() {
    let mut world = World::new().await;
    assert!(!world.models.unload(name("tiny"), false).await.unwrap());
    let (worker, lease) = world.holds("tiny").await;
    let models = world.models.clone();
    let mut unload = tokio::spawn(async move { models.unload(name("tiny"), false).await });
    world.models.settle().await;
    assert!((&mut unload).now_or_never().is_none(), "a request is active");
    drop(lease);
    assert_eq!(worker.stops().await, Stop::Graceful);
    assert!(unload.await.unwrap().unwrap());
    let unknown = world.models.unload(name("nobody"), false).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::ModelNotFound);
}

#[tokio::test]
async fn only_an_unloaded_model_that_did_not_ship_can_be_removed() {
    let mut world = World::new().await;
    let (worker, lease) = world.holds("tiny").await;
    let busy = world.models.remove(name("tiny")).await.unwrap_err();
    assert_eq!(busy.kind, ErrorKind::Busy);
    drop(lease);
    drop(worker);
    let builtin = Installed {
        source: Source::Builtin,
        ..installed(&world._home, "builtin/helper")
    };
    world.models.installed(builtin).await.unwrap();
    let refused = world.models.remove(name("builtin/helper")).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::PermissionDenied);
    // Its files do not exist, which is what is wanted.
    world.models.remove(name("other")).await.unwrap();
    assert_eq!(
        world.models.model(&name("other")).unwrap_err().kind,
        ErrorKind::ModelNotFound
    );
}

#[tokio::test]
async fn shutdown_waits_for_active_requests_and_refuses_new_ones() {
    let mut world = World::new().await;
    let (worker, lease) = world.holds("tiny").await;
    let models = world.models.clone();
    let mut shutdown = tokio::spawn(async move { models.shutdown(Duration::from_secs(10)).await });
    world.models.settle().await;
    while !world.models.is_shutting_down() {
        world.changes.next().await.unwrap();
    }
    let mut late = world.wants("other").await;
    assert_eq!(refusal(granted(&mut late).await), ErrorKind::ShuttingDown);
    assert!((&mut shutdown).now_or_never().is_none());
    drop(lease);
    worker.stops().await;
    shutdown.await.unwrap();
    world.models.end().await;
    while world.changes.next().await.is_some() {}
}

#[tokio::test]
async fn an_impatient_shutdown_cancels_what_runs() {
    let mut world = World::new().await;
    let (worker, mut lease) = world.holds("tiny").await;
    let models = world.models.clone();
    let shutdown = tokio::spawn(async move { models.shutdown(Duration::ZERO).await });
    while !world.models.is_shutting_down() {
        world.changes.next().await.unwrap();
    }
    world.models.abandon().await;
    assert_eq!(lease.cancelled().await.kind, ErrorKind::ShuttingDown);
    assert_eq!(worker.stops().await, Stop::Kill);
    shutdown.await.unwrap();
}
