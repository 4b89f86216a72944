//! A daemon that says exactly what the test wants.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use airunner_core::{Fault, PROTOCOL_VERSION};
use airunner_ipc_client::Endpoint;
use airunner_proto::convert::status_from_fault;
use airunner_proto::v1;
use airunner_proto::v1::control_server::{Control, ControlServer};
use airunner_proto::v1::hardware_server::HardwareServer;
use airunner_proto::v1::llm_server::{Llm, LlmServer};
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

mod hardware;

pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
type Watches = Arc<Mutex<Vec<Vec<v1::WatchResponse>>>>;

#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) protocol: Option<u32>,
    /// What each subscription sends, in order; then it stays open.
    pub(crate) watches: Watches,
    pub(crate) answer: Vec<Result<v1::GenerateResponse, Fault>>,
    /// Told when the reader of an answer is gone.
    pub(crate) reader_gone: Option<mpsc::Sender<()>>,
    /// Told when a reservation is gone.
    pub(crate) given_back: Option<mpsc::Sender<()>>,
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

    async fn pause(&self, _: Request<v1::PauseRequest>) -> Result<Response<v1::PauseResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn resume(&self, _: Request<v1::ResumeRequest>) -> Result<Response<v1::ResumeResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn cancel_activity(
        &self,
        _: Request<v1::CancelActivityRequest>,
    ) -> Result<Response<v1::CancelActivityResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
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
pub(crate) struct Daemon {
    directory: tempfile::TempDir,
    runtime: Option<Runtime>,
}

impl Daemon {
    pub(crate) fn start(script: Script) -> Self {
        let mut daemon = Self {
            directory: tempfile::tempdir().expect("a temporary directory can be made"),
            runtime: None,
        };
        daemon.start_again(script);
        daemon
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::at(self.directory.path().join("daemon.sock"))
    }

    pub(crate) fn start_again(&mut self, script: Script) {
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
            .add_service(LlmServer::new(script.clone()))
            .add_service(HardwareServer::new(script));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        self.runtime = Some(runtime);
    }

    pub(crate) fn stop(&mut self) {
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
