//! The body of a worker process: one model behind a private socket.
//!
//! Owns the process around an [`LlmRuntime`](airunner_runtimes::LlmRuntime): its limits, its log,
//! its socket, and its end, which comes with that of the daemon. Computes nothing itself.

mod options;
mod service;

use std::io::Write as _;
use std::time::Duration;

use airunner_core::{Fault, error};
use airunner_platform::endpoint::Stale;
use airunner_platform::{Listener, child, limits, parent};
use airunner_proto::MAX_MESSAGE_BYTES;
use airunner_proto::worker_v1::worker_server::WorkerServer;
use tokio_util::sync::CancellationToken;

pub use options::{WORKER, WorkerArguments, arguments};

use crate::ipc::incoming;
use crate::logging;
use service::Service;

/// How long an orderly end may take before it is forced.
const LAST_RESORT: Duration = Duration::from_millis(1500);

/// Serves one model until the daemon closes standard input.
pub fn run(arguments: WorkerArguments) -> Result<(), Fault> {
    let log = logging::start_in_worker(arguments.log_level);
    let log = log.map_err(|error| Fault::internal(format!("cannot start the log: {error}")))?;
    restrict(&arguments)?;
    let end = CancellationToken::new();
    let asked = end.clone();
    parent::when_standard_input_ends(move || {
        asked.cancel();
        force_end_later();
    })
    .map_err(|error| Fault::internal(format!("cannot watch the daemon: {error}")))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::internal(format!("cannot start the event loop: {error}")))?;
    let served = runtime.block_on(serve(arguments, end));
    // Native work that does not listen must not hold up the end.
    runtime.shutdown_timeout(LAST_RESORT);
    drop(log);
    served
}

fn restrict(arguments: &WorkerArguments) -> Result<(), Fault> {
    limits::apply(&arguments.limits)
        .map_err(|error| Fault::internal(format!("cannot limit the worker: {error}")))?;
    parent::die_with_parent()
        .map_err(|error| Fault::internal(format!("cannot tie the worker to the daemon: {error}")))?;
    child::volunteer_when_memory_runs_out();
    Ok(())
}

/// A thread that is stuck in native code cannot be asked to end.
fn force_end_later() {
    let (_never, wait) = std::sync::mpsc::sync_channel::<()>(0);
    let _ = wait.recv_timeout(LAST_RESORT);
    child::end_at_once();
}

async fn serve(arguments: WorkerArguments, end: CancellationToken) -> Result<(), Fault> {
    let listener = Listener::bind(arguments.endpoint, Stale::Replace)?;
    let service = WorkerServer::new(Service::new(end.clone()))
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(16 << 20)
        .add_service(service)
        .serve_with_incoming(incoming(listener));
    say_ready()?;
    tokio::select! {
        served = server => served.map_err(|error| Fault::internal(error::chain(&error))),
        () = end.cancelled() => Ok(()),
    }
}

/// One byte tells the daemon that it can connect.
fn say_ready() -> Result<(), Fault> {
    let mut output = std::io::stdout().lock();
    output
        .write_all(b"\n")
        .and_then(|()| output.flush())
        .map_err(|error| Fault::internal(format!("cannot tell the daemon: {error}")))
}
