//! Models rewritten before ONNX Runtime loads them.
//!
//! Owns the messages of an ONNX file, the passes that change a graph, and writing the result.
//! A pass replaces what it recognises by operators of the domain [`DOMAIN`] and notes in a
//! [`Plan`] what these need beside the graph; who packs weights and provides the operators is
//! elsewhere. What no pass understands stays as it is, and a pass that fails changes nothing.

#[cfg(test)]
mod computed_tests;
mod covered;
pub(crate) mod edit;
mod evaluate;
pub(crate) mod full_precision;
pub(crate) mod index;
mod masks;
mod passes;
mod plan;
pub(crate) mod proto;
pub(crate) mod read;
mod rewrite;
pub(crate) mod tensor;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod write;

use std::io;
use std::path::PathBuf;

use airunner_core::{ErrorKind, Fault};

use crate::onnx::WireError;
use crate::package::PackageError;

pub use evaluate::{Evaluate, Fed, Feed, OnnxRuntime};
pub use plan::{Arrangement, AttentionLayer, CodeBook, Form, PackTask, Plan, Source};
pub use rewrite::{Pass, Rewritten, rewrite};
pub use tensor::{Place, TensorRef};
pub use write::{GRAPH_FILE, WEIGHTS_FILE};

/// The domain of the operators that this program brings.
pub const DOMAIN: &str = "airunner";

/// The input that [`Pass::LastRows`] adds: which tokens the logits are asked for, int64 `[R]`.
pub const ROWS_INPUT: &str = "airunner.rows";

/// Why a model cannot be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("not a whole ONNX file")]
    Wire(#[source] WireError),
    #[error("{message} has a field {field}, which is not covered")]
    NotCovered { message: &'static str, field: u64 },
    #[error("more than {limit} fields")]
    TooManyFields { limit: usize },
    #[error("messages are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("not an ONNX file")]
    Decode(#[source] prost::DecodeError),
    #[error("the file has no graph")]
    NoGraph,
    #[error("the file defines the function {function} itself")]
    RedefinedFunction { function: String },
    #[error("tensor {tensor:?}: {reason}")]
    Tensor { tensor: String, reason: &'static str },
    #[error("cannot {action} {path}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl GraphError {
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Package(error) => error.kind(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::File { .. } => ErrorKind::Internal,
            Self::Wire(_)
            | Self::NotCovered { .. }
            | Self::TooManyFields { .. }
            | Self::TooDeep { .. }
            | Self::Decode(_)
            | Self::NoGraph
            | Self::RedefinedFunction { .. }
            | Self::Tensor { .. } => ErrorKind::ModelIncompatible,
        }
    }
}

impl From<GraphError> for Fault {
    fn from(error: GraphError) -> Self {
        Self::new(error.kind(), airunner_core::error::chain(&error))
    }
}

/// Why a pass left a graph, or a part of it, as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is nothing to change")]
    Nothing,
    #[error("node {node:?}: {reason}")]
    Node { node: String, reason: &'static str },
    #[error("tensor {tensor:?}: {reason}")]
    Tensor { tensor: String, reason: &'static str },
    #[error("{0}")]
    Graph(&'static str),
}

impl Refusal {
    pub(crate) fn node(node: &proto::NodeProto, reason: &'static str) -> Self {
        let name = match node.name.as_str() {
            "" => node.output.first().map_or(node.op_type.as_str(), String::as_str),
            name => name,
        };
        Self::Node {
            node: name.to_owned(),
            reason,
        }
    }

    pub(crate) fn tensor(tensor: &str, reason: &'static str) -> Self {
        Self::Tensor {
            tensor: tensor.to_owned(),
            reason,
        }
    }
}

/// How many places a pass changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Changed(pub(crate) usize);

impl Changed {
    /// Nothing at all is a refusal.
    pub(crate) fn some(count: usize) -> Result<Self, Refusal> {
        if count == 0 {
            Err(Refusal::Nothing)
        } else {
            Ok(Self(count))
        }
    }
}
