//! What the daemon says about itself.

use std::time::Duration;

use crate::model::Model;
use crate::pause::Pause;

/// The daemon's answer to a client's first call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// See [`PROTOCOL_VERSION`](crate::PROTOCOL_VERSION).
    pub protocol_version: u32,
    pub daemon_version: String,
    pub pid: u32,
}

/// What `airunner status` shows.
#[derive(Clone, Debug, PartialEq)]
pub struct DaemonStatus {
    pub pid: u32,
    pub daemon_version: String,
    pub protocol_version: u32,
    /// Path of the socket, or name of the pipe, that clients connect to.
    pub socket: String,
    pub uptime: Duration,
    /// Resident memory of the daemon process, bytes; workers are counted with their models.
    pub memory_bytes: u64,
    pub models: Vec<Model>,
    /// True from the moment a shutdown was asked for.
    pub shutting_down: bool,
    /// The ONNX Runtime library workers will load; `None` if none was found.
    pub onnxruntime_library: Option<String>,
    pub http: HttpStatus,
    /// Where traces of requests are sent; `None`: nowhere.
    pub traces: Option<String>,
    /// Why nothing is loaded or run, if that is so.
    pub paused: Option<Pause>,
}

/// The HTTP API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpStatus {
    /// Where it answers; none if it is switched off or cannot be served.
    pub urls: Vec<String>,
    /// Anybody on this machine may call it without a key.
    pub open: bool,
    /// Why it is not served although it should be.
    pub problem: Option<String>,
}
