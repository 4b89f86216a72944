//! What can go wrong while a model loads or computes.

use std::path::PathBuf;

use airunner_core::{ErrorKind, Fault};

use super::prepack::seal::SealError;
use super::rewritten::RewriteError;

/// Why ONNX Runtime could not be had or could not run the model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ComputeError {
    #[error(
        "ONNX Runtime's library {path} cannot be used: {reason}. Install ONNX Runtime 1.31 or newer and name its \
         library in the setting runtime.onnxruntime_library"
    )]
    Library { path: PathBuf, reason: String },
    #[error("ONNX Runtime cannot load {file}: {source}")]
    Open { file: String, source: ort::Error },
    #[error("the graph cannot be run: {0}")]
    Interface(String),
    #[error("the graph returned logits of shape {shape:?} for {rows} sequences")]
    LogitsShape { shape: Vec<i64>, rows: usize },
    #[error("no memory for {} MiB more of keys and values: use a shorter context or fewer requests at once", bytes >> 20)]
    OutOfMemory { bytes: usize },
    #[error("its faster copy: {0}")]
    Copy(#[from] RewriteError),
    #[error("its faster copy: {0}")]
    Seal(#[from] SealError),
    #[error("ONNX Runtime: {0}")]
    Run(#[from] ort::Error),
}

impl ComputeError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Library { .. } => ErrorKind::RuntimeMissing,
            Self::Interface(_) | Self::LogitsShape { .. } => ErrorKind::ModelIncompatible,
            Self::OutOfMemory { .. } => ErrorKind::OutOfMemory,
            Self::Copy(error) => error.kind(),
            Self::Seal(_) => ErrorKind::Internal,
            Self::Open { source, .. } => kind_of(source, ErrorKind::ModelIncompatible),
            Self::Run(error) => kind_of(error, ErrorKind::Internal),
        }
    }

    /// Whether the file itself is why: it is missing, or not what it should be. Otherwise the
    /// machine may be, and the same file opens another time.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Open { source, .. } => {
                self.kind() != ErrorKind::OutOfMemory
                    && matches!(
                        source.code(),
                        ort::ErrorCode::InvalidProtobuf
                            | ort::ErrorCode::InvalidGraph
                            | ort::ErrorCode::InvalidArgument
                            | ort::ErrorCode::NoModel
                            | ort::ErrorCode::NoSuchFile
                    )
            }
            Self::Interface(_) => true,
            Self::Copy(error) => error.is_damage(),
            Self::Seal(error) => error.is_damage(),
            Self::Library { .. } | Self::LogitsShape { .. } | Self::OutOfMemory { .. } | Self::Run(_) => {
                false
            }
        }
    }

    /// Whether the machine is surely why: it lacks memory, threads, open files or room on the disk.
    /// The same may go well another time.
    pub(crate) fn is_machine(&self) -> bool {
        match self {
            Self::Library { .. } | Self::OutOfMemory { .. } => true,
            Self::Open { source, .. } | Self::Run(source) => is_exhausted(source),
            Self::Copy(error) => error.is_machine(),
            Self::Seal(error) => !error.is_damage(),
            Self::Interface(_) | Self::LogitsShape { .. } => false,
        }
    }
}

/// ONNX Runtime says in words only that it ran out of memory.
fn kind_of(error: &ort::Error, otherwise: ErrorKind) -> ErrorKind {
    let exhausted = [
        "bad_alloc",
        "failed to allocate",
        "out of memory",
        "bad allocation",
        "cannot allocate memory",
        // Threads are refused for want of address space.
        "pthread_create",
    ];
    if says(error, &exhausted) {
        return ErrorKind::OutOfMemory;
    }
    if error.code() == ort::ErrorCode::InvalidProtobuf {
        return ErrorKind::ModelInvalid;
    }
    otherwise
}

/// Whether the machine has not enough of something.
fn is_exhausted(error: &ort::Error) -> bool {
    let others = [
        "too many open files",
        "no space left on device",
        "resource temporarily unavailable",
        "input/output error",
        // How ONNX Runtime tells what a call of the system said.
        "system error number",
    ];
    kind_of(error, ErrorKind::Internal) == ErrorKind::OutOfMemory || says(error, &others)
}

fn says(error: &ort::Error, phrases: &[&str]) -> bool {
    let message = error.message().to_ascii_lowercase();
    phrases.iter().any(|phrase| message.contains(phrase))
}

impl From<ComputeError> for Fault {
    fn from(error: ComputeError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
