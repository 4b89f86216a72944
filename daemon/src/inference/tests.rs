//! Answers from a worker that follows a script.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::generate::{
    ClientId, Done, FinishReason, GenerateEvent, GenerateRequest, Input, TextDelta, Timings, Usage,
};
use airunner_core::lifecycle::StateName;
use airunner_core::memory::Budget;
use airunner_core::model::{Loaded, ModelKind, Source};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_core::{ErrorKind, Fault, KeepAlive, ModelName};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Notify, mpsc};

use super::Inference;
use crate::events;
use crate::models::paper::{Paperwork, parts};
use crate::models::{Models, Store};
use crate::storage::Storage;
use crate::traces::Tracer;
use crate::workers::{Answer, Launcher, Llm, News, Order, Reports, WorkerHandle};

/// What a reader may take its time for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The test's end of every answer: what it sends is what the worker says.
type Script = mpsc::Sender<Result<GenerateEvent, Fault>>;

/// Loads at once; every request arrives at the test.
struct Stage {
    requests: mpsc::Sender<Script>,
    /// Ends the worker by itself.
    crash: Arc<Notify>,
}

impl Launcher for Stage {
    fn launch(&self, _order: Order, reports: Reports) -> WorkerHandle {
        let (handle, stop) = WorkerHandle::new();
        let llm = Arc::new(Actor {
            requests: self.requests.clone(),
        });
        let crash = Arc::clone(&self.crash);
        tokio::spawn(async move {
            let loaded = Loaded {
                device: "cpu".to_owned(),
                context_length: 64,
                variant: String::new(),
                warnings: Vec::new(),
                level: None,
                prepacked: false,
                cache_type: "f16".to_owned(),
            };
            reports.send(News::Loaded { loaded, llm }).await;
            let news = tokio::select! {
                _ = stop => News::Stopped,
                () = crash.notified() => News::Exited(Fault::new(ErrorKind::WorkerCrashed, "it died")),
            };
            reports.send(news).await;
        });
        handle
    }
}

struct Actor {
    requests: mpsc::Sender<Script>,
}

impl Llm for Actor {
    fn generate(&self, _request: GenerateRequest) -> BoxFuture<'static, Result<Answer, Fault>> {
        let requests = self.requests.clone();
        async move {
            let (script, events) = mpsc::channel(1);
            requests
                .send(script)
                .await
                .map_err(|_| Fault::internal("the test is over"))?;
            Ok(tokio_stream::wrappers::ReceiverStream::new(events).boxed())
        }
        .boxed()
    }

    fn tokenize(&self, request: TokenizeRequest) -> BoxFuture<'static, Result<Vec<u32>, Fault>> {
        async move { Ok(vec![u32::try_from(request.model.as_str().len()).unwrap_or(0)]) }.boxed()
    }

    fn detokenize(&self, request: DetokenizeRequest) -> BoxFuture<'static, Result<String, Fault>> {
        async move { Ok(format!("{:?}", request.tokens)) }.boxed()
    }

    fn trim(&self) -> BoxFuture<'static, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    fn use_threads(&self, most: u32) -> BoxFuture<'static, Result<u32, Fault>> {
        async move { Ok(most) }.boxed()
    }
}

struct World {
    _home: tempfile::TempDir,
    models: Models,
    inference: Inference,
    requests: mpsc::Receiver<Script>,
    crash: Arc<Notify>,
}

fn tiny() -> ModelName {
    ModelName::new("tiny").unwrap()
}

fn request() -> GenerateRequest {
    GenerateRequest::new(tiny(), Input::Raw("Once".to_owned()))
}

impl World {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
        let (sender, requests) = mpsc::channel(8);
        let crash = Arc::new(Notify::new());
        let stage = Stage {
            requests: sender,
            crash: Arc::clone(&crash),
        };
        let (publisher, hub) = events::hub();
        let paperwork = Paperwork::default();
        let parts = parts(
            Arc::new(stage),
            paperwork,
            publisher,
            KeepAlive::Forever,
            Budget::default(),
        );
        let (models, actor) = Models::new(Arc::new(store), hub, parts, None);
        let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
        let (usage, counting) = crate::usage::Usage::new(storage);
        tokio::spawn(counting.run());
        tokio::spawn(actor.run());
        let installed = crate::models::Installed {
            name: tiny(),
            kind: ModelKind::Llm,
            size_bytes: 1,
            source: Source::Import(String::new()),
            directory: home.path().to_path_buf(),
            defaults: airunner_core::defaults::Defaults::default(),
        };
        models.installed(installed).await.unwrap();
        Self {
            _home: home,
            inference: Inference::new(models.clone(), usage, Tracer::default(), PATIENCE),
            models,
            requests,
            crash,
        }
    }

    /// A request whose worker is played by the test.
    async fn asks(&mut self) -> (super::Answer, Script) {
        let answer = self.inference.generate(ClientId::default(), request()).unwrap();
        (answer, self.requests.recv().await.unwrap())
    }

    /// The worker dies, and the models know it.
    async fn crash(&self) {
        self.crash.notify_one();
        let mut changes = self.models.watch();
        while self.state().await != StateName::Unloaded {
            changes.next().await.unwrap();
        }
    }

    async fn state(&self) -> StateName {
        self.models.settle().await;
        self.models.model(&tiny()).unwrap().state
    }

    async fn until_idle(&self) {
        let mut changes = self.models.watch();
        while self.state().await != StateName::Loaded {
            changes.next().await.unwrap();
        }
    }
}

fn text(text: &str) -> GenerateEvent {
    GenerateEvent::Text(TextDelta {
        text: text.to_owned(),
        logprobs: Vec::new(),
    })
}

fn done() -> GenerateEvent {
    let timings = Timings {
        first_token: Duration::from_millis(5),
        ..Timings::default()
    };
    GenerateEvent::Done(Done {
        finish_reason: FinishReason::Stop,
        stop_sequence: None,
        usage: Usage::default(),
        timings,
    })
}

/// The next event that is not about waiting.
async fn next(answer: &mut super::Answer) -> Option<Result<GenerateEvent, Fault>> {
    loop {
        match answer.recv().await? {
            Ok(GenerateEvent::Loading(_) | GenerateEvent::Queued(_)) => {}
            event => return Some(event),
        }
    }
}

#[tokio::test]
async fn events_are_passed_on_and_the_model_is_free_with_the_last() {
    let mut world = World::new().await;
    let (mut answer, script) = world.asks().await;
    script.send(Ok(text("upon"))).await.unwrap();
    assert_eq!(next(&mut answer).await, Some(Ok(text("upon"))));
    script.send(Ok(done())).await.unwrap();
    let Some(Ok(GenerateEvent::Done(last))) = next(&mut answer).await else {
        panic!("no end")
    };
    assert_eq!(world.models.model(&tiny()).unwrap().state, StateName::Loaded);
    assert!(last.timings.first_token >= Duration::from_millis(5) + last.timings.load);
    assert_eq!(next(&mut answer).await, None);
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_is_loaded() {
    let world = World::new().await;
    let cold = GenerateRequest {
        max_tokens: Some(0),
        ..request()
    };
    assert_eq!(
        world
            .inference
            .generate(ClientId::default(), cold)
            .unwrap_err()
            .kind,
        ErrorKind::InvalidArgument
    );
    let unknown = GenerateRequest {
        model: ModelName::new("nobody").unwrap(),
        ..request()
    };
    assert_eq!(
        world
            .inference
            .generate(ClientId::default(), unknown)
            .unwrap_err()
            .kind,
        ErrorKind::ModelNotFound
    );
    assert_eq!(world.state().await, StateName::Unloaded);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_request() {
    let mut world = World::new().await;
    let (answer, script) = world.asks().await;
    drop(answer);
    script.closed().await;
    world.until_idle().await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_does_not_read_is_given_up() {
    let mut world = World::new().await;
    let (_answer, script) = world.asks().await;
    let before = tokio::time::Instant::now();
    while script.send(Ok(text("more"))).await.is_ok() {}
    assert_eq!(before.elapsed().as_secs(), PATIENCE.as_secs());
    world.until_idle().await;
}

#[tokio::test]
async fn an_error_of_the_worker_is_the_callers() {
    let mut world = World::new().await;
    let (mut answer, script) = world.asks().await;
    let fault = Fault::new(ErrorKind::ContextLengthExceeded, "600 tokens, 512 fit");
    script.send(Err(fault.clone())).await.unwrap();
    assert_eq!(next(&mut answer).await, Some(Err(fault)));
    world.until_idle().await;
}

#[tokio::test]
async fn what_a_worker_said_before_it_died_is_passed_on() {
    let mut world = World::new().await;
    let (mut answer, script) = world.asks().await;
    script.send(Ok(text("last words"))).await.unwrap();
    world.crash().await;
    drop(script);
    assert_eq!(next(&mut answer).await, Some(Ok(text("last words"))));
    assert_eq!(
        next(&mut answer).await.unwrap().unwrap_err().kind,
        ErrorKind::WorkerCrashed
    );
}

#[tokio::test]
async fn a_forced_unload_ends_the_answer_with_a_reason() {
    let mut world = World::new().await;
    let (mut answer, _script) = world.asks().await;
    let unloaded = world.models.unload(tiny(), true).await.unwrap();
    assert!(unloaded);
    assert_eq!(
        next(&mut answer).await.unwrap().unwrap_err().kind,
        ErrorKind::Cancelled
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_be_reached_is_ended() {
    let mut world = World::new().await;
    let (mut answer, script) = world.asks().await;
    let broken = Fault::new(ErrorKind::DaemonNotRunning, "broken pipe");
    script.send(Err(broken)).await.unwrap();
    assert_eq!(
        next(&mut answer).await.unwrap().unwrap_err().kind,
        ErrorKind::WorkerCrashed
    );
    let mut changes = world.models.watch();
    while world.state().await != StateName::Unloaded {
        changes.next().await.unwrap();
    }
}

#[tokio::test]
async fn an_answer_that_just_stops_is_an_error() {
    let mut world = World::new().await;
    let (mut answer, script) = world.asks().await;
    drop(script);
    assert_eq!(
        next(&mut answer).await.unwrap().unwrap_err().kind,
        ErrorKind::Internal
    );
}

#[tokio::test]
async fn the_tokenizer_loads_the_model_and_leaves_it_free() {
    let world = World::new().await;
    let request = DetokenizeRequest {
        model: tiny(),
        tokens: vec![1, 2],
        skip_special_tokens: false,
    };
    assert_eq!(world.inference.detokenize(request).await.unwrap(), "[1, 2]");
    assert_eq!(world.state().await, StateName::Loaded);
}
