//! A daemon that says exactly what the test wants, and the command that talks to it.

use std::pin::Pin;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use airunner_core::PROTOCOL_VERSION;
use airunner_proto::v1;
use airunner_proto::v1::control_server::{Control, ControlServer};
use airunner_proto::v1::downloads_server::DownloadsServer;
use airunner_proto::v1::models_server::ModelsServer;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

mod downloads;
mod models;

pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[derive(Clone, Default)]
pub(crate) struct Script {
    /// What a pull sends; then it stays open.
    pub(crate) pull: Vec<Result<v1::PullResponse, Status>>,
    /// What a load sends.
    pub(crate) load: Vec<Result<v1::LoadModelResponse, Status>>,
    /// What a check sends.
    pub(crate) verify: Vec<v1::VerifyModelResponse>,
    /// What was asked, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    /// Told when the messages of a pull are sent.
    pub(crate) pulling: Option<tokio::sync::mpsc::Sender<()>>,
}

impl Script {
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no test panics with it").clone()
    }

    fn note(&self, what: String) {
        self.asked.lock().expect("no test panics with it").push(what);
    }
}

/// Sends these, and then nothing more without ending.
fn then_open<T: Send + 'static>(items: Vec<Result<T, Status>>) -> Answers<T> {
    Box::pin(tokio_stream::iter(items).chain(tokio_stream::pending()))
}

#[tonic::async_trait]
impl Control for Script {
    type WatchStream = Answers<v1::WatchResponse>;

    async fn hello(&self, _: Request<v1::HelloRequest>) -> Result<Response<v1::HelloResponse>, Status> {
        Ok(Response::new(v1::HelloResponse {
            protocol_version: PROTOCOL_VERSION,
            daemon_version: "9.9.9".into(),
            pid: 7,
        }))
    }

    async fn status(&self, _: Request<v1::StatusRequest>) -> Result<Response<v1::StatusResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not scripted"))
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
        Err(Status::unimplemented("not scripted"))
    }
}

/// A served script and the home the command finds it by.
pub(crate) struct Daemon {
    home: tempfile::TempDir,
    runtime: Option<Runtime>,
}

impl Daemon {
    pub(crate) fn start(script: Script) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let runtime_directory = home.path().join("run");
        std::fs::create_dir(&runtime_directory).expect("it is empty");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let listener = {
            let _within = runtime.enter();
            UnixListener::bind(runtime_directory.join("airunnerd.sock")).expect("the path is free")
        };
        let server = Server::builder()
            .add_service(ControlServer::new(script.clone()))
            .add_service(DownloadsServer::new(script.clone()))
            .add_service(ModelsServer::new(script));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self {
            home,
            runtime: Some(runtime),
        }
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(airunner_tests::binary("airunner"));
        command
            .args(line.split(' '))
            .env("AIRUNNER_HOME", self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the command can be run")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
