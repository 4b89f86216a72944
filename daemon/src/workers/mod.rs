//! Worker processes: one per loaded model, seen from the daemon.
//!
//! Owns starting, watching and ending them. Decides nothing about models: it does what an
//! [`Order`] says and reports what happens with [`News`].

mod channel;
mod client;
mod process;
mod supervisor;

use std::path::PathBuf;
use std::sync::Arc;

use airunner_core::generate::{GenerateEvent, GenerateRequest};
use airunner_core::hardware::ProcessMemory;
use airunner_core::lifecycle::{AttemptId, Stop};
use airunner_core::model::{LoadProgress, Loaded};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use airunner_core::{Fault, ModelName};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, oneshot};

pub(crate) use channel::channel;
pub(crate) use process::{forward_log, keep_secrets};
pub use supervisor::{ProcessLauncher, WorkerOptions};

/// Starts workers.
pub trait Launcher: Send + Sync + 'static {
    /// Starts one and returns at once; everything else comes as a report. The last report is
    /// `LoadFailed`, `Exited` or `Stopped`.
    fn launch(&self, order: Order, reports: Reports) -> WorkerHandle;
}

/// What a worker is to do.
#[derive(Clone, Debug)]
pub struct Order {
    pub model: ModelName,
    pub attempt: AttemptId,
    /// The package.
    pub directory: PathBuf,
    /// Graph file to run, relative to the package; `None`: the best for this machine.
    pub variant: Option<String>,
    /// Tokens of one conversation at most; `None`: the configured length.
    pub context_length: Option<u32>,
}

/// Ends a worker. Dropping it kills.
#[derive(Debug)]
pub struct WorkerHandle(oneshot::Sender<Stop>);

impl WorkerHandle {
    /// A handle, and where its wish arrives.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<Stop>) {
        let (sender, receiver) = oneshot::channel();
        (Self(sender), receiver)
    }

    pub fn stop(self, stop: Stop) {
        // A worker that is gone already needs no stopping.
        let _ = self.0.send(stop);
    }
}

/// What a worker reports, and which.
pub struct Report {
    pub model: ModelName,
    pub attempt: AttemptId,
    pub news: News,
}

pub enum News {
    /// The process runs.
    Started {
        pid: u32,
    },
    Progress(LoadProgress),
    /// The model can be used.
    Loaded {
        loaded: Loaded,
        llm: Arc<dyn Llm>,
    },
    /// What the process holds.
    Memory(ProcessMemory),
    /// The load failed and the process is gone.
    LoadFailed {
        fault: Fault,
        crashed: bool,
    },
    /// The process died though nobody asked it to.
    Exited(Fault),
    /// The process that was told to stop is gone.
    Stopped,
}

/// Where a worker's reports go.
#[derive(Clone, Debug)]
pub struct Reports {
    pub model: ModelName,
    pub attempt: AttemptId,
    pub sender: mpsc::Sender<Report>,
}

impl Reports {
    pub async fn send(&self, news: News) {
        let report = Report {
            model: self.model.clone(),
            attempt: self.attempt,
            news,
        };
        if self.sender.send(report).await.is_err() {
            tracing::debug!(model = %self.model, "nobody listens to the worker any more");
        }
    }
}

/// The stream of an answer. Dropping it cancels the request.
pub type Answer = BoxStream<'static, Result<GenerateEvent, Fault>>;

/// A loaded language model in its worker.
pub trait Llm: Send + Sync {
    fn generate(&self, request: GenerateRequest) -> BoxFuture<'static, Result<Answer, Fault>>;
    fn tokenize(&self, request: TokenizeRequest) -> BoxFuture<'static, Result<Vec<u32>, Fault>>;
    fn detokenize(&self, request: DetokenizeRequest) -> BoxFuture<'static, Result<String, Fault>>;
    /// Gives back what can be computed again, such as keys and values of earlier conversations.
    fn trim(&self) -> BoxFuture<'static, Result<(), Fault>>;
    /// Computes with at most so many threads from here on; how many those are.
    fn use_threads(&self, most: u32) -> BoxFuture<'static, Result<u32, Fault>>;
}
