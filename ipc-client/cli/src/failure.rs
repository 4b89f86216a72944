//! How a command fails, and with which exit code.

use std::fmt::Display;
use std::io;

use airunner_core::{ErrorKind, Fault};

/// Exit codes, part of the contract for scripts.
pub(crate) mod code {
    pub(crate) const OK: u8 = 0;
    pub(crate) const FAILED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const NOT_RUNNING: u8 = 3;
}

#[derive(Debug)]
pub(crate) enum Failure {
    Fault(Fault),
    /// The command line makes no sense; the text says why.
    Usage(String),
    /// Everything was said already.
    Reported(u8),
    /// Nobody reads standard output any more: nothing to say and nothing wrong.
    ReaderGone,
}

impl Failure {
    pub(crate) fn internal(error: impl Display) -> Self {
        Self::Fault(Fault::internal(error.to_string()))
    }

    pub(crate) fn cancelled() -> Self {
        Self::Fault(Fault::new(ErrorKind::Cancelled, "cancelled"))
    }

    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Fault(Fault {
                kind: ErrorKind::DaemonNotRunning,
                ..
            }) => code::NOT_RUNNING,
            Self::Fault(_) => code::FAILED,
            Self::Usage(_) => code::USAGE,
            Self::Reported(code) => *code,
            Self::ReaderGone => code::OK,
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ReaderGone;
        }
        Self::internal(format!("cannot write to standard output: {error}"))
    }
}

/// What to try next, unless the message says it already.
pub(crate) fn hint(fault: &Fault) -> Option<&'static str> {
    let (command, hint) = match fault.kind {
        ErrorKind::DaemonNotRunning => ("airunner start", "start it with: airunner start"),
        ErrorKind::ModelNotFound => ("airunner models", "see what is installed with: airunner models"),
        ErrorKind::AlreadyExists => (
            "airunner models remove",
            "choose another name, or remove it with: airunner models remove",
        ),
        ErrorKind::ProtocolMismatch => ("airunner restart", "try: airunner restart"),
        ErrorKind::RuntimeMissing | ErrorKind::InvalidConfig | ErrorKind::StorageUnusable => {
            ("airunner doctor", "see what is wrong with: airunner doctor")
        }
        ErrorKind::WorkerCrashed | ErrorKind::Internal | ErrorKind::ModelFaulty | ErrorKind::CircuitOpen => {
            ("airunner logs", "see more with: airunner logs")
        }
        ErrorKind::Paused => ("airunner resume", "go on with: airunner resume"),
        ErrorKind::OutOfMemory => ("airunner memory", "see who has it with: airunner memory"),
        ErrorKind::InvalidArgument
        | ErrorKind::NotFound
        | ErrorKind::Busy
        | ErrorKind::QueueFull
        | ErrorKind::DiskFull
        | ErrorKind::ModelIncompatible
        | ErrorKind::ModelInvalid
        | ErrorKind::ContextLengthExceeded
        | ErrorKind::TemplateFailed
        | ErrorKind::DeadlineExceeded
        | ErrorKind::ClientStalled
        | ErrorKind::Cancelled
        | ErrorKind::Unauthenticated
        | ErrorKind::PermissionDenied
        | ErrorKind::RateLimited
        | ErrorKind::Unavailable
        | ErrorKind::Offline
        | ErrorKind::VerificationFailed
        | ErrorKind::ShuttingDown => return None,
    };
    (!fault.message.contains(command)).then_some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_what_happened() {
        let fault = |kind| Failure::from(Fault::new(kind, "x"));
        for (failure, expected) in [
            (fault(ErrorKind::DaemonNotRunning), 3),
            (fault(ErrorKind::ModelNotFound), 1),
            (Failure::cancelled(), 1),
            (Failure::Usage("x".into()), 2),
            (Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
            (Failure::from(io::Error::from(io::ErrorKind::StorageFull)), 1),
        ] {
            assert_eq!(failure.exit_code(), expected, "{failure:?}");
        }
    }

    #[test]
    fn a_hint_is_not_said_twice() {
        let fault = Fault::new(ErrorKind::DaemonNotRunning, "it is not running");
        assert_eq!(hint(&fault), Some("start it with: airunner start"));
        let fault = Fault::new(ErrorKind::DaemonNotRunning, "start it with: airunner start");
        assert_eq!(hint(&fault), None);
    }
}
