//! A rewritten model on disk: the graph, and one file with the weights that stay in it.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use bytes::Bytes;
use prost::Message as _;

use super::GraphError;
use super::proto::{EXTERNAL, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto};
use super::tensor::{Place, TensorRef, is_external};
use crate::package::Files;

pub const GRAPH_FILE: &str = "model.onnx";
pub const WEIGHTS_FILE: &str = "model.onnx.data";

/// Smaller tensors stay in the graph file, bytes.
const SMALLEST_OUTSIDE: u64 = 1 << 10;
/// Tensors from this size on begin at a page, so that they can be mapped, bytes.
const SMALLEST_PAGED: u64 = 64 << 10;
const PAGE: u64 = 4096;
const LINE: u64 = 64;

/// Writes the graph and its weights into a directory that is there.
pub(crate) fn write(
    model: ModelProto,
    files: &Files,
    file: &str,
    directory: &Path,
) -> Result<(), GraphError> {
    let path = directory.join(WEIGHTS_FILE);
    let opened = File::create(&path).map_err(|source| GraphError::File {
        action: "create",
        path: path.clone(),
        source,
    })?;
    let begun = Begun {
        weights: opened,
        end: 0,
        tensors: HashSet::new(),
    };
    write_more(model, files, file, directory, begun)
}

/// A file of weights that holds some tensors already.
pub(crate) struct Begun {
    /// [`WEIGHTS_FILE`] in the directory, at its end.
    pub(crate) weights: File,
    pub(crate) end: u64,
    /// Initializers that are in it, and say so.
    pub(crate) tensors: HashSet<String>,
}

/// The same behind what is in the file of weights already.
pub(crate) fn write_more(
    mut model: ModelProto,
    files: &Files,
    file: &str,
    directory: &Path,
    begun: Begun,
) -> Result<(), GraphError> {
    let path = directory.join(WEIGHTS_FILE);
    let mut weights = Weights {
        files,
        file,
        path: &path,
        out: BufWriter::with_capacity(1 << 20, begun.weights),
        end: begun.end,
        written: begun.tensors,
        copied: HashMap::new(),
    };
    if let Some(graph) = &mut model.graph {
        weights.graph(graph)?;
    }
    for function in &mut model.functions {
        weights.nodes(&mut function.node)?;
    }
    weights.out.flush().map_err(|source| weights.failed(source))?;
    let graph = directory.join(GRAPH_FILE);
    fs::write(&graph, model.encode_to_vec()).map_err(|source| GraphError::File {
        action: "write",
        path: graph,
        source,
    })
}

struct Weights<'a> {
    files: &'a Files,
    /// The original graph's place in its package.
    file: &'a str,
    path: &'a Path,
    out: BufWriter<File>,
    end: u64,
    /// Tensors that are in the file already.
    written: HashSet<String>,
    /// Where what was copied from a file already lies: tied weights stay tied.
    copied: HashMap<(String, u64, u64), u64>,
}

impl Weights<'_> {
    fn graph(&mut self, graph: &mut GraphProto) -> Result<(), GraphError> {
        for tensor in &mut graph.initializer {
            self.tensor(tensor)?;
        }
        self.nodes(&mut graph.node)
    }

    fn nodes(&mut self, nodes: &mut [NodeProto]) -> Result<(), GraphError> {
        for attribute in nodes.iter_mut().flat_map(|node| &mut node.attribute) {
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.graph(graph)?;
            }
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                // Attributes are looked at while a model is loaded: outside only what was outside.
                if is_external(tensor) {
                    self.tensor(tensor)?;
                }
            }
        }
        Ok(())
    }

    fn tensor(&mut self, tensor: &mut TensorProto) -> Result<(), GraphError> {
        let is_small = !is_external(tensor) && (tensor.encoded_len() as u64) < SMALLEST_OUTSIDE;
        if is_small || self.written.contains(&tensor.name) {
            return Ok(());
        }
        // Texts, and what is newer than this, stay as they are.
        let reference = match TensorRef::of(tensor, self.file) {
            Ok(reference) => reference,
            Err(_) if !is_external(tensor) => return Ok(()),
            Err(_) => {
                return Err(GraphError::Tensor {
                    tensor: tensor.name.clone(),
                    reason: "its external data cannot be copied",
                });
            }
        };
        let length = reference.bytes();
        match reference.place {
            Place::File { file, offset, .. } if length < SMALLEST_OUTSIDE => {
                let mut content = Vec::new();
                self.open(&file, offset, length)?
                    .read_to_end(&mut content)
                    .map_err(|source| self.failed(source))?;
                inside(tensor, content.into());
                Ok(())
            }
            Place::File { file, offset, .. } => {
                let key = (file, offset, length);
                let begin = match self.copied.get(&key) {
                    Some(&begin) => begin,
                    None => {
                        let from = self.open(&key.0, offset, length)?;
                        let begin = self.append(from, length)?;
                        self.copied.insert(key, begin);
                        begin
                    }
                };
                outside(tensor, begin, length);
                Ok(())
            }
            Place::Inline(_) if length < SMALLEST_OUTSIDE => Ok(()),
            Place::Inline(bytes) => {
                let begin = self.append(&bytes[..], length)?;
                outside(tensor, begin, length);
                Ok(())
            }
        }
    }

    fn open(&self, file: &str, offset: u64, length: u64) -> Result<impl Read + use<>, GraphError> {
        let (path, _) = self.files.locate(file)?;
        let opened = File::open(&path).and_then(|mut opened| {
            opened.seek(SeekFrom::Start(offset))?;
            Ok(opened.take(length))
        });
        opened.map_err(|source| GraphError::File {
            action: "read",
            path,
            source,
        })
    }

    /// Appends so many bytes and returns where they begin.
    fn append(&mut self, mut from: impl Read, length: u64) -> Result<u64, GraphError> {
        let alignment = if length < SMALLEST_PAGED { LINE } else { PAGE };
        let begin = self.end.next_multiple_of(alignment);
        let padding = io::copy(&mut io::repeat(0).take(begin - self.end), &mut self.out);
        let copied = padding.and_then(|_| io::copy(&mut from, &mut self.out));
        let copied = copied.map_err(|source| self.failed(source))?;
        if copied != length {
            return Err(self.failed(io::ErrorKind::UnexpectedEof.into()));
        }
        self.end = begin + length;
        Ok(begin)
    }

    fn failed(&self, source: io::Error) -> GraphError {
        GraphError::File {
            action: "write",
            path: self.path.to_owned(),
            source,
        }
    }
}

fn inside(tensor: &mut TensorProto, content: Bytes) {
    clear(tensor);
    tensor.raw_data = Some(content);
}

/// Says that a tensor lies in the file of weights.
pub(crate) fn outside(tensor: &mut TensorProto, offset: u64, length: u64) {
    clear(tensor);
    let entry = |key: &str, value: String| StringStringEntryProto {
        key: key.to_owned(),
        value,
    };
    tensor.data_location = Some(EXTERNAL);
    tensor.external_data = vec![
        entry("location", WEIGHTS_FILE.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
}

fn clear(tensor: &mut TensorProto) {
    *tensor = TensorProto {
        dims: std::mem::take(&mut tensor.dims),
        data_type: tensor.data_type,
        name: std::mem::take(&mut tensor.name),
        doc_string: std::mem::take(&mut tensor.doc_string),
        metadata_props: std::mem::take(&mut tensor.metadata_props),
        ..TensorProto::default()
    };
}
