//! What can be wrong with settings.

use std::fmt;
use std::io;
use std::path::PathBuf;

use airunner_core::{ErrorKind, Fault, error};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the settings in {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot write the settings to {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is no setting {section}.{key}")]
    NoSuchKey { section: String, key: String },
    #[error("{key} cannot be {value}: it must be {allowed}")]
    Refused {
        key: String,
        value: String,
        allowed: String,
    },
    #[error("{origin}: this is not TOML: {message}")]
    Syntax { origin: Origin, message: String },
    #[error("{origin}: there is no section [{section}]; sections are {known}")]
    UnknownSection {
        origin: Origin,
        section: String,
        known: String,
    },
    #[error("{origin}: there is no key \"{key}\" in [{section}]; its keys are {known}")]
    UnknownKey {
        origin: Origin,
        section: String,
        key: String,
        known: String,
    },
    #[error("{origin}: {key} is {value}: it must be {allowed}")]
    BadValue {
        origin: Origin,
        key: String,
        value: String,
        allowed: String,
    },
    /// Its value may hold a secret, so it is not shown.
    #[error("the variable {name} is not what it must be: {allowed}")]
    BadVariable { name: &'static str, allowed: String },
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let kind = match &error {
            ConfigError::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorKind::DiskFull
            }
            ConfigError::Write { .. } => ErrorKind::Internal,
            ConfigError::Refused { .. } | ConfigError::NoSuchKey { .. } => ErrorKind::InvalidArgument,
            ConfigError::Read { .. }
            | ConfigError::Syntax { .. }
            | ConfigError::UnknownSection { .. }
            | ConfigError::UnknownKey { .. }
            | ConfigError::BadValue { .. }
            | ConfigError::BadVariable { .. } => ErrorKind::InvalidConfig,
        };
        Self::new(kind, error::chain(&error))
    }
}

/// Where a setting was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Lines count from one.
    File {
        path: PathBuf,
        line: usize,
    },
    Environment,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{} line {line}", path.display()),
            Self::Environment => f.write_str("environment"),
        }
    }
}
