use std::io;
use std::path::PathBuf;

use airunner_core::quantize::QuantizeLevel;
use airunner_core::{ErrorKind, Fault};

use crate::graph::{GraphError, Refusal};
use crate::llm::ComputeError;
use crate::package::PackageError;

/// Why a package cannot be quantized.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("cannot read the graph")]
    Graph(#[from] GraphError),
    #[error("cannot change the graph: {0}")]
    Refused(String),
    #[error("it is quantized already ({found}): begin with the full-precision model")]
    Quantized { found: String },
    #[error("it has half precision already: {} makes it no smaller", level.as_str())]
    NotSmaller { level: QuantizeLevel },
    #[error("it has no matrix of weights that could be quantized")]
    Nothing,
    #[error(
        "tensor {tensor:?} holds a weight that is no finite number, or too large, in row {row}: the model is damaged"
    )]
    BadWeight { tensor: String, row: usize },
    #[error("tensor {tensor:?}: its bytes are not all in {file}")]
    Incomplete { tensor: String, file: String },
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("cannot compare the models")]
    Compute(#[source] Box<Fault>),
    #[error("it was cancelled")]
    Cancelled,
}

impl QuantizeError {
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Package(error) => error.kind(),
            Self::Graph(error) => error.kind(),
            Self::Refused(_) | Self::Quantized { .. } | Self::NotSmaller { .. } | Self::Nothing => {
                ErrorKind::ModelIncompatible
            }
            Self::BadWeight { .. } | Self::Incomplete { .. } => ErrorKind::ModelInvalid,
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::File { .. } => ErrorKind::Internal,
            Self::Compute(fault) => fault.kind,
            Self::Cancelled => ErrorKind::Cancelled,
        }
    }
}

impl From<Refusal> for QuantizeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.to_string())
    }
}

impl From<ComputeError> for QuantizeError {
    fn from(error: ComputeError) -> Self {
        Self::Compute(Box::new(error.into()))
    }
}

impl From<QuantizeError> for Fault {
    fn from(error: QuantizeError) -> Self {
        if let QuantizeError::Compute(fault) = error {
            return *fault;
        }
        Self::new(error.kind(), airunner_core::error::chain(&error))
    }
}
