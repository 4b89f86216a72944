//! A graph file as messages. The bytes of tensors stay in the file's map.

use bytes::Bytes;
use prost::Message as _;

use super::edit::Graph;
use super::proto::ModelProto;
use super::{DOMAIN, GraphError, covered};
use crate::onnx;
use crate::package::Files;

/// Graph files up to this size are read, larger ones, which hold their weights, are mapped; bytes.
const LARGEST_READ: u64 = 64 << 20;

/// Reads a graph that has been checked by [`onnx::inspect`], within the same call.
pub(crate) fn read(files: &Files, file: &str) -> Result<Graph, GraphError> {
    onnx::inspect(files, file)?;
    let (path, size) = files.locate(file)?;
    let content = if size <= LARGEST_READ {
        Bytes::from(files.read(file, LARGEST_READ)?)
    } else {
        Bytes::from_owner(onnx::map(&path)?)
    };
    decode(content, &onnx::resolved(files, file, &path))
}

/// `file` is where the graph really lies in its package.
pub(crate) fn decode(content: Bytes, file: &str) -> Result<Graph, GraphError> {
    covered::check(&content)?;
    let model = ModelProto::decode(content).map_err(GraphError::Decode)?;
    let redefined = model.functions.iter().find(|function| {
        // Passes know these operators by name; a file that means something else by them is left alone.
        matches!(
            function.domain.as_str(),
            "" | "ai.onnx" | "com.microsoft" | DOMAIN
        )
    });
    if let Some(function) = redefined {
        return Err(GraphError::RedefinedFunction {
            function: format!("{}::{}", function.domain, function.name),
        });
    }
    Graph::new(model, file).ok_or(GraphError::NoGraph)
}
