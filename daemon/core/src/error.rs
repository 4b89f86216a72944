//! One list of everything that can go wrong, and what each means on a wire.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What kind of thing went wrong. Each has one stable reason string for programs,
/// one gRPC status code and one HTTP status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A value in the request is wrong; the message says which and what is allowed.
    InvalidArgument,
    /// No installed model has that name.
    ModelNotFound,
    /// Something named in the request, other than a model, does not exist.
    NotFound,
    /// A model of that name is installed.
    AlreadyExists,
    /// The thing is in use, so this cannot be done to it now.
    Busy,
    /// Too many requests wait already.
    QueueFull,
    /// The machine has not enough memory for this.
    OutOfMemory,
    /// No space is left on the disk.
    DiskFull,
    /// The package is sound but this program cannot run it.
    ModelIncompatible,
    /// The package is damaged, incomplete or hostile.
    ModelInvalid,
    /// The model computed something that is not a number.
    ModelFaulty,
    /// The prompt does not fit into the model's context.
    ContextLengthExceeded,
    /// The chat template of the package failed or refused the conversation.
    TemplateFailed,
    /// The worker process died.
    WorkerCrashed,
    /// The model crashed too often; it may be tried again later.
    CircuitOpen,
    /// The ONNX Runtime library is missing or of the wrong version.
    RuntimeMissing,
    /// A load took longer than allowed.
    DeadlineExceeded,
    /// The reader of an answer stopped reading.
    ClientStalled,
    /// The caller gave up, or somebody cancelled the request.
    Cancelled,
    /// The caller did not say who it is.
    Unauthenticated,
    /// The caller may not do this.
    PermissionDenied,
    /// The caller asks too often.
    RateLimited,
    /// Another machine cannot be reached or does not answer sensibly.
    Unavailable,
    /// The network is needed and switched off by a setting.
    Offline,
    /// What was received is not what was published.
    VerificationFailed,
    /// The database is damaged, or belongs to a newer version of this program.
    StorageUnusable,
    /// The daemon is not running or cannot be reached.
    DaemonNotRunning,
    /// Somebody has paused the program: nothing is loaded or run until it is resumed.
    Paused,
    /// The daemon is shutting down.
    ShuttingDown,
    /// Client and daemon speak different protocol versions.
    ProtocolMismatch,
    /// A setting is wrong.
    InvalidConfig,
    /// A defect of this program or an unexpected answer of the operating system.
    Internal,
}

/// A gRPC status code, as the numbers of the gRPC specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum GrpcCode {
    Cancelled = 1,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl ErrorKind {
    /// Every kind, for tables and look-ups.
    pub const ALL: [Self; 32] = [
        Self::InvalidArgument,
        Self::ModelNotFound,
        Self::NotFound,
        Self::AlreadyExists,
        Self::Busy,
        Self::QueueFull,
        Self::OutOfMemory,
        Self::DiskFull,
        Self::ModelIncompatible,
        Self::ModelInvalid,
        Self::ModelFaulty,
        Self::ContextLengthExceeded,
        Self::TemplateFailed,
        Self::WorkerCrashed,
        Self::CircuitOpen,
        Self::RuntimeMissing,
        Self::DeadlineExceeded,
        Self::ClientStalled,
        Self::Cancelled,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::RateLimited,
        Self::Unavailable,
        Self::Offline,
        Self::VerificationFailed,
        Self::StorageUnusable,
        Self::DaemonNotRunning,
        Self::Paused,
        Self::ShuttingDown,
        Self::ProtocolMismatch,
        Self::InvalidConfig,
        Self::Internal,
    ];

    /// Reason string, gRPC code and HTTP status: the one table.
    const fn row(self) -> (&'static str, GrpcCode, u16) {
        match self {
            Self::InvalidArgument => ("invalid_argument", GrpcCode::InvalidArgument, 400),
            Self::ModelNotFound => ("model_not_found", GrpcCode::NotFound, 404),
            Self::NotFound => ("not_found", GrpcCode::NotFound, 404),
            Self::AlreadyExists => ("already_exists", GrpcCode::AlreadyExists, 409),
            Self::Busy => ("busy", GrpcCode::FailedPrecondition, 409),
            Self::QueueFull => ("queue_full", GrpcCode::ResourceExhausted, 429),
            Self::OutOfMemory => ("out_of_memory", GrpcCode::ResourceExhausted, 507),
            Self::DiskFull => ("disk_full", GrpcCode::ResourceExhausted, 507),
            Self::ModelIncompatible => ("model_incompatible", GrpcCode::FailedPrecondition, 422),
            Self::ModelInvalid => ("model_invalid", GrpcCode::DataLoss, 422),
            Self::ModelFaulty => ("model_faulty", GrpcCode::Internal, 500),
            Self::ContextLengthExceeded => ("context_length_exceeded", GrpcCode::InvalidArgument, 400),
            Self::TemplateFailed => ("template_failed", GrpcCode::InvalidArgument, 400),
            Self::WorkerCrashed => ("worker_crashed", GrpcCode::Unavailable, 503),
            Self::CircuitOpen => ("circuit_open", GrpcCode::Unavailable, 503),
            Self::RuntimeMissing => ("runtime_missing", GrpcCode::FailedPrecondition, 500),
            Self::DeadlineExceeded => ("deadline_exceeded", GrpcCode::DeadlineExceeded, 504),
            Self::ClientStalled => ("client_stalled", GrpcCode::Aborted, 408),
            Self::Cancelled => ("cancelled", GrpcCode::Cancelled, 499),
            Self::Unauthenticated => ("unauthenticated", GrpcCode::Unauthenticated, 401),
            Self::PermissionDenied => ("permission_denied", GrpcCode::PermissionDenied, 403),
            Self::RateLimited => ("rate_limited", GrpcCode::ResourceExhausted, 429),
            Self::Unavailable => ("unavailable", GrpcCode::Unavailable, 503),
            Self::Offline => ("offline", GrpcCode::FailedPrecondition, 503),
            Self::VerificationFailed => ("verification_failed", GrpcCode::DataLoss, 502),
            Self::StorageUnusable => ("storage_unusable", GrpcCode::FailedPrecondition, 500),
            Self::DaemonNotRunning => ("daemon_not_running", GrpcCode::Unavailable, 503),
            Self::Paused => ("paused", GrpcCode::Unavailable, 503),
            Self::ShuttingDown => ("shutting_down", GrpcCode::Unavailable, 503),
            Self::ProtocolMismatch => ("protocol_mismatch", GrpcCode::FailedPrecondition, 400),
            Self::InvalidConfig => ("invalid_config", GrpcCode::FailedPrecondition, 500),
            Self::Internal => ("internal", GrpcCode::Internal, 500),
        }
    }

    /// The stable name of this kind for programs.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        self.row().0
    }

    /// The gRPC status code.
    #[must_use]
    pub const fn grpc_code(self) -> GrpcCode {
        self.row().1
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        self.row().2
    }

    /// The kind with that reason string, if there is one.
    #[must_use]
    pub fn from_reason(reason: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.reason() == reason)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// An error as a caller sees it: a kind for programs, a sentence for people.
///
/// The message says what happened and what to do. It never holds prompts, replies or keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    pub kind: ErrorKind,
    pub message: String,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
    /// Figures for programs, such as `required_bytes`; names are stable.
    pub figures: BTreeMap<String, String>,
}

impl Fault {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
            figures: BTreeMap::new(),
        }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidArgument, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    #[must_use]
    pub const fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Adds a figure for programs.
    #[must_use]
    pub fn figure(mut self, name: &str, value: impl ToString) -> Self {
        self.figures.insert(name.to_owned(), value.to_string());
        self
    }
}

/// An error with its causes on one line, for logs and messages: `a: b: c`.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_unique_and_found_again() {
        for (index, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(ErrorKind::from_reason(kind.reason()), Some(kind));
            assert!(
                ErrorKind::ALL[..index]
                    .iter()
                    .all(|other| other.reason() != kind.reason())
            );
            assert!((400..600).contains(&kind.http_status()), "{kind}");
        }
        assert_eq!(ErrorKind::from_reason("nonsense"), None);
    }
}
