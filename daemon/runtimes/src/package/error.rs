//! What can be wrong with a package.

use std::io;
use std::path::PathBuf;

use airunner_core::error::chain;
use airunner_core::{ErrorKind, Fault};

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not a directory with a model in it")]
    NotADirectory { path: PathBuf },
    #[error(
        "{path} holds no model this program knows: it needs genai_config.json, or config.json with onnx/model.onnx, \
         or model.onnx with tokenizer.json"
    )]
    NotAPackage { path: PathBuf },
    #[error("the package has no {file}; copy the whole package again")]
    Missing { file: String },
    #[error("{file} leaves the package directory; give a copy without links (`cp -rL`)")]
    Outside { file: String },
    #[error("{file} is not a relative path inside the package")]
    BadPath { file: String },
    #[error("{file} is not a regular file")]
    NotAFile { file: String },
    #[error("{file} has {size} bytes, more than the {limit} such a file may have")]
    TooLarge { file: String, size: u64, limit: u64 },
    #[error("the package has more than {limit} files")]
    TooManyFiles { limit: usize },
    #[error("{file} is damaged")]
    Json { file: String, source: serde_json::Error },
    #[error("{file} is damaged: it is not UTF-8 text")]
    NotText { file: String },
    #[error("{file}: {field} must be {expected}, but is {found}")]
    Field {
        file: String,
        field: String,
        expected: &'static str,
        found: String,
    },
    #[error("the package has no variant {variant}, only {known}")]
    UnknownVariant { variant: String, known: String },
    #[error("this program cannot run the package: {0}")]
    Incompatible(String),
    #[error(transparent)]
    Graph(#[from] crate::onnx::ScanError),
}

impl PackageError {
    /// What this means to a caller.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Incompatible(_) | Self::NotAPackage { .. } => ErrorKind::ModelIncompatible,
            Self::NotADirectory { .. } => ErrorKind::NotFound,
            Self::UnknownVariant { .. } => ErrorKind::InvalidArgument,
            Self::Graph(error) => error.kind(),
            Self::Read { .. }
            | Self::Missing { .. }
            | Self::Outside { .. }
            | Self::BadPath { .. }
            | Self::NotAFile { .. }
            | Self::TooLarge { .. }
            | Self::TooManyFiles { .. }
            | Self::Json { .. }
            | Self::NotText { .. }
            | Self::Field { .. } => ErrorKind::ModelInvalid,
        }
    }
}

impl From<PackageError> for Fault {
    fn from(error: PackageError) -> Self {
        Self::new(error.kind(), chain(&error))
    }
}
