//! The client against a daemon that says exactly what the test wants.

#![cfg(unix)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use airunner_core::event::Event;
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input};
use airunner_core::{ErrorKind, Fault, ModelName, PROTOCOL_VERSION};
use airunner_ipc_client::{Client, Endpoint, Update, Watch};
use airunner_proto::convert::status_from_fault;
use airunner_proto::v1;
use airunner_proto::v1::control_server::{Control, ControlServer};
use airunner_proto::v1::llm_server::{Llm, LlmServer};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Watches = Arc<Mutex<Vec<Vec<v1::WatchResponse>>>>;

#[derive(Clone, Default)]
struct Script {
    protocol: Option<u32>,
    /// What each subscription sends, in order; then it stays open.
    watches: Watches,
    answer: Vec<Result<v1::GenerateResponse, Fault>>,
    /// Told when the reader of an answer is gone.
    reader_gone: Option<mpsc::Sender<()>>,
}

#[tonic::async_trait]
impl Control for Script {
    type WatchStream = Answers<v1::WatchResponse>;

    async fn hello(&self, _: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        let protocol_version = self.protocol.unwrap_or(PROTOCOL_VERSION);
        Ok(Response::new(v1::HelloResponse {
            protocol_version,
            daemon_version: "9.9.9".into(),
            pid: 7,
        }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        let model = v1::Model {
            name: "tiny".into(),
            kind: "oracle".into(),
            ..v1::Model::default()
        };
        Ok(Response::new(v1::StatusResponse {
            models: vec![model],
            ..v1::StatusResponse::default()
        }))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let mut watches = self.watches.lock().expect("no test panics with it");
        let messages = if watches.is_empty() {
            Vec::new()
        } else {
            watches.remove(0)
        };
        let messages = tokio_stream::iter(messages.into_iter().map(Ok));
        Ok(Response::new(Box::pin(messages.chain(tokio_stream::pending()))))
    }

    async fn shutdown(
        &self,
        _: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        Ok(Response::new(v1::ShutdownResponse {}))
    }
}

#[tonic::async_trait]
impl Llm for Script {
    type GenerateStream = Answers<v1::GenerateResponse>;

    async fn generate(
        &self,
        _: Request<v1::GenerateRequest>,
    ) -> Result<Response<Self::GenerateStream>, Status> {
        let (sender, receiver) = mpsc::channel(1);
        let (answer, gone) = (self.answer.clone(), self.reader_gone.clone());
        tokio::spawn(async move {
            for event in answer {
                if sender
                    .send(event.map_err(|fault| status_from_fault(&fault)))
                    .await
                    .is_err()
                {
                    break;
                }
            }
            if let Some(gone) = gone {
                sender.closed().await;
                gone.send(()).await.expect("the test waits for it");
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn tokenize(
        &self,
        _: Request<v1::TokenizeRequest>,
    ) -> Result<Response<v1::TokenizeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn detokenize(
        &self,
        _: Request<v1::DetokenizeRequest>,
    ) -> Result<Response<v1::DetokenizeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}

/// A served script on threads of its own, so that ending it closes every connection at once, as
/// the death of a process does.
struct Daemon {
    directory: tempfile::TempDir,
    runtime: Option<Runtime>,
}

impl Daemon {
    fn start(script: Script) -> Self {
        let mut daemon = Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            runtime: None,
        };
        daemon.start_again(script);
        daemon
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.directory.path().join("daemon.sock"))
    }

    fn start_again(&mut self, script: Script) {
        let path = self.directory.path().join("daemon.sock");
        let _ = std::fs::remove_file(&path);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime can be made");
        let listener = {
            let _within = runtime.enter();
            UnixListener::bind(path).expect("the path is free")
        };
        let server = Server::builder()
            .add_service(ControlServer::new(script.clone()))
            .add_service(LlmServer::new(script));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        self.runtime = Some(runtime);
    }

    fn stop(&mut self) {
        self.runtime.take().expect("it runs").shutdown_background();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn snapshot(sequence: u64) -> v1::WatchResponse {
    let payload = v1::watch_response::Payload::Snapshot(v1::Snapshot::default());
    v1::WatchResponse {
        sequence,
        payload: Some(payload),
    }
}

fn event(sequence: u64) -> v1::WatchResponse {
    let payload = v1::watch_response::Payload::ShuttingDown(v1::ShuttingDown { grace_ms: sequence });
    v1::WatchResponse {
        sequence,
        payload: Some(payload),
    }
}

fn watching(messages: &[&[v1::WatchResponse]]) -> Script {
    let watches = messages.iter().map(|messages| messages.to_vec()).collect();
    Script {
        watches: Arc::new(Mutex::new(watches)),
        ..Script::default()
    }
}

fn text(text: &str) -> Result<v1::GenerateResponse, Fault> {
    let delta = v1::TextDelta {
        text: text.into(),
        logprobs: Vec::new(),
    };
    Ok(v1::GenerateResponse {
        event: Some(v1::generate_response::Event::Text(delta)),
    })
}

fn request() -> GenerateRequest {
    GenerateRequest::new(ModelName::new("tiny").expect("a name"), Input::Raw("Hi".into()))
}

fn is_event(update: &Update, sequence: u64) -> bool {
    *update
        == Update::Event(Event::ShuttingDown {
            grace: Duration::from_millis(sequence),
        })
}

#[tokio::test]
async fn a_daemon_of_another_protocol_is_refused_but_can_be_stopped() {
    let daemon = Daemon::start(Script {
        protocol: Some(77),
        ..Script::default()
    });
    let fault = Client::connect(&daemon.endpoint()).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ProtocolMismatch);
    let client = Client::connect_to_any_version(&daemon.endpoint()).await.unwrap();
    assert_eq!(client.hello().daemon_version, "9.9.9");
    client.control().shutdown(false).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_fault() {
    let daemon = Daemon::start(Script::default());
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let fault = client.control().status().await.unwrap_err();
    assert!(
        fault.kind == ErrorKind::Internal && fault.message.contains("oracle"),
        "{fault}"
    );
    let fault = client.models().list().await.unwrap_err();
    assert_eq!(
        fault.kind,
        ErrorKind::ProtocolMismatch,
        "a service that is not there: {fault}"
    );
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_keeps_its_kind() {
    let crash =
        Fault::new(ErrorKind::WorkerCrashed, "the worker was killed").retry_after(Duration::from_secs(2));
    let answer = vec![text("Hel"), Err(crash.clone())];
    let daemon = Daemon::start(Script {
        answer,
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(GenerateEvent::Text(delta))) if delta.text == "Hel"));
    assert_eq!(events.next().await.unwrap().unwrap_err(), crash);
    assert!(events.next().await.is_none());
    assert_eq!(client.llm().answer(request()).await.unwrap_err(), crash);
}

#[tokio::test]
async fn dropping_an_answer_cancels_it_at_the_daemon() {
    let (gone, mut was_gone) = mpsc::channel(1);
    let answer = vec![text("one"), text("two"), text("three")];
    let daemon = Daemon::start(Script {
        answer,
        reader_gone: Some(gone),
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), was_gone.recv())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_daemon_that_dies_in_the_middle_of_an_answer_is_named() {
    let answer = vec![text("one")];
    let (gone, _was_gone) = mpsc::channel(1);
    let mut daemon = Daemon::start(Script {
        answer,
        reader_gone: Some(gone),
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    daemon.stop();
    let fault = events.next().await.unwrap().unwrap_err();
    assert_eq!(fault.kind, ErrorKind::DaemonNotRunning, "{fault}");

    // The same client finds the daemon that comes after it.
    daemon.start_again(Script {
        answer: vec![text("two")],
        ..Script::default()
    });
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(GenerateEvent::Text(delta))) if delta.text == "two"));
}

#[tokio::test]
async fn a_gap_costs_a_fresh_snapshot_and_is_never_skipped() {
    let daemon = Daemon::start(watching(&[
        &[snapshot(4), event(5), event(7)],
        &[snapshot(9), event(10)],
    ]));
    let mut watch = Watch::new(daemon.endpoint());
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    assert!(is_event(&watch.next().await, 5));
    assert!(
        matches!(watch.next().await, Update::Snapshot(_)),
        "and not the event that came too early"
    );
    assert!(is_event(&watch.next().await, 10));
}

#[tokio::test]
async fn a_restart_of_the_daemon_is_told_and_survived() {
    let mut daemon = Daemon::start(watching(&[&[snapshot(1)]]));
    let mut watch = Client::connect(&daemon.endpoint()).await.unwrap().watch();
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    daemon.stop();
    let update = watch.next().await;
    assert!(matches!(update, Update::Disconnected(_)), "{update:?}");
    daemon.start_again(watching(&[&[snapshot(0), event(1)]]));
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    assert!(is_event(&watch.next().await, 1));
}
