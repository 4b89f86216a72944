use std::io;
use std::path::PathBuf;

use airunner_core::{ErrorKind, Fault, error};

use crate::io_error::kind_of;
use crate::places::PlacesError;

/// Why the service cannot be dealt with.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    #[error("{0}")]
    NoManager(&'static str),
    #[error(
        "systemd of this user cannot be reached: log in as this user (su and sudo are no login), or let its \
         services run without one with \"loginctl enable-linger\"; it said: {0}"
    )]
    NoSession(String),
    #[error("\"{}\" cannot stand in a service file: {why}", path.display())]
    Path { path: PathBuf, why: &'static str },
    #[error("no service is installed: run \"airunner service install\"")]
    NotInstalled,
    #[error(
        "the service is installed for another home of AI Runner ({socket}): remove it there first with \
         \"airunner service uninstall\""
    )]
    Elsewhere { socket: String },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{manager} does not look into {}: put the file where it does, or unset XDG_CONFIG_HOME", path.display())]
    NotFound { manager: &'static str, path: PathBuf },
    #[error("cannot run {program}")]
    Run {
        program: &'static str,
        source: io::Error,
    },
    #[error("\"{command}\" failed: {said}")]
    Failed { command: String, said: String },
    #[error("this user has no home directory")]
    NoHome,
    #[error(transparent)]
    Places(#[from] PlacesError),
}

impl From<ServiceError> for Fault {
    fn from(error: ServiceError) -> Self {
        let kind = match &error {
            ServiceError::NoManager(_) | ServiceError::NoSession(_) => ErrorKind::Unavailable,
            ServiceError::Path { .. } => ErrorKind::InvalidArgument,
            ServiceError::NotInstalled => ErrorKind::NotFound,
            ServiceError::Elsewhere { .. } => ErrorKind::AlreadyExists,
            ServiceError::Write { source, .. }
            | ServiceError::Remove { source, .. }
            | ServiceError::Read { source, .. }
            | ServiceError::Run { source, .. } => kind_of(source),
            ServiceError::NotFound { .. } | ServiceError::NoHome => ErrorKind::InvalidConfig,
            ServiceError::Failed { .. } => ErrorKind::Internal,
            ServiceError::Places(_) => ErrorKind::InvalidConfig,
        };
        Self::new(kind, error::chain(&error))
    }
}
