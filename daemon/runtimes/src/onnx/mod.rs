//! `.onnx` files before ONNX Runtime sees them.
//!
//! Owns the check that a graph file is whole, within bounds, and reads no file outside its
//! package; and the description of what the graph contains. Does not know what a language
//! model is.

pub(crate) mod dtype;
pub(crate) mod parts;
mod scan;
pub(crate) mod wire;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use airunner_core::ErrorKind;
use memmap2::Mmap;

use crate::package::{Files, PackageError};

pub(crate) use parts::Parts;
pub use wire::WireError;

/// What a graph file contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    pub inputs: Vec<TensorShape>,
    pub outputs: Vec<TensorShape>,
    /// How often each operator occurs, nested graphs and functions included.
    pub operators: BTreeMap<Operator, usize>,
    pub external: Vec<ExternalData>,
}

/// An operator by domain and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operator {
    /// Empty for the ONNX standard's own.
    pub domain: String,
    pub name: String,
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.domain.is_empty() {
            return f.write_str(&self.name);
        }
        write!(f, "{}::{}", self.domain, self.name)
    }
}

/// A graph input or output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorShape {
    pub name: String,
    /// `TensorProto.DataType`; 0 if it is not a tensor.
    pub dtype: i64,
    /// `None` where the size is not fixed.
    pub dimensions: Vec<Option<i64>>,
}

/// Weights in a file beside the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalData {
    pub tensor: String,
    /// As the graph names it: relative to the graph's directory.
    pub location: String,
    pub offset: u64,
    pub length: u64,
}

/// How attention keeps keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// `GroupQueryAttention`: one buffer may serve as past and present.
    GroupQuery,
    /// `MultiHeadAttention` of ONNX Runtime: past goes in, a longer present comes out.
    MultiHead,
    /// Built of standard operators: past goes in, a longer present comes out.
    Decomposed,
}

impl Graph {
    #[must_use]
    pub fn attention(&self) -> Attention {
        let has = |name: &str| {
            self.operators
                .keys()
                .any(|operator| operator.domain == "com.microsoft" && operator.name == name)
        };
        match (has("GroupQueryAttention"), has("MultiHeadAttention")) {
            (true, _) => Attention::GroupQuery,
            (false, true) => Attention::MultiHead,
            (false, false) => Attention::Decomposed,
        }
    }
}

/// Bounds of a graph file.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The wire form allows 2 GiB.
    pub bytes: u64,
    pub nodes: usize,
    pub tensors: usize,
    /// Inputs, outputs, functions and different operators together.
    pub values: usize,
    /// Of one input or output.
    pub dimensions: usize,
    /// Bytes of one name.
    pub name: usize,
    /// Bytes of all names that are kept.
    pub names: usize,
    /// Graphs within graphs.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: i32::MAX as u64,
            nodes: 500_000,
            tensors: 500_000,
            values: 100_000,
            dimensions: 32,
            name: 4096,
            names: 64 << 20,
            depth: 16,
        }
    }
}

/// Why a graph file is refused. The file's name is added by [`inspect`].
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the file is empty or has no graph")]
    NoGraph,
    #[error("not a whole ONNX file")]
    Wire(#[from] WireError),
    #[error("graphs are nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error("more than {limit} nodes")]
    TooManyNodes { limit: usize },
    #[error("more than {limit} tensors")]
    TooManyTensors { limit: usize },
    #[error("more than {limit} inputs, outputs, functions and kinds of operators")]
    TooManyValues { limit: usize },
    #[error("an input or output has more than {limit} dimensions")]
    TooManyDimensions { limit: usize },
    #[error("a name is longer than {limit} bytes")]
    NameTooLong { limit: usize },
    #[error("the names of tensors take more than {limit} bytes")]
    TooManyNames { limit: usize },
    #[error("tensor {tensor:?} has an impossible size or element type")]
    TensorSize { tensor: String },
    #[error("external data of tensor {tensor:?}: {key} is {value:?}")]
    ExternalField {
        tensor: String,
        key: &'static str,
        value: String,
    },
    #[error(
        "tensor {tensor:?} needs bytes {offset} to {end} of {location}, which has {size}: the file is incomplete, \
         copy it again"
    )]
    ExternalTooShort {
        tensor: String,
        location: String,
        offset: u64,
        end: u128,
        size: u64,
    },
    #[error("external data of tensor {tensor:?}")]
    External {
        tensor: String,
        source: Box<PackageError>,
    },
    #[error("operator {operator} is not part of ONNX Runtime, and libraries of operators are not loaded")]
    UnknownOperator { operator: String },
    #[error("{file}")]
    InFile { file: String, source: Box<Self> },
}

impl ScanError {
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownOperator { .. } => ErrorKind::ModelIncompatible,
            Self::InFile { source, .. } => source.kind(),
            Self::Read { .. }
            | Self::NoGraph
            | Self::Wire(_)
            | Self::TooDeep { .. }
            | Self::TooManyNodes { .. }
            | Self::TooManyTensors { .. }
            | Self::TooManyValues { .. }
            | Self::TooManyDimensions { .. }
            | Self::NameTooLong { .. }
            | Self::TooManyNames { .. }
            | Self::TensorSize { .. }
            | Self::ExternalField { .. }
            | Self::ExternalTooShort { .. }
            | Self::External { .. } => ErrorKind::ModelInvalid,
        }
    }
}

/// Graph files up to this size are read, larger ones, which hold their weights, are mapped; bytes.
const LARGEST_READ: u64 = 64 << 20;

/// Checks one graph file of a package and the weights it refers to.
pub fn inspect(files: &Files, file: &str) -> Result<Graph, PackageError> {
    read(files, file, scan::scan)
}

/// The same, and looks at what the graph's memory can be told from.
pub(crate) fn inspect_parts<T>(
    files: &Files,
    file: &str,
    look: impl FnOnce(&Graph, &Parts<'_>) -> T,
) -> Result<T, PackageError> {
    let mut seen = None;
    read(files, file, |model, limits| {
        let (graph, parts) = scan::scan_parts(model, limits)?;
        seen = Some(look(&graph, &parts));
        Ok(graph)
    })?;
    seen.ok_or_else(|| ScanError::NoGraph.into())
}

fn read(
    files: &Files,
    file: &str,
    scan: impl FnOnce(&[u8], &Limits) -> Result<Graph, ScanError>,
) -> Result<Graph, PackageError> {
    let (path, size) = files.locate(file)?;
    let limits = Limits::default();
    if size > limits.bytes {
        return Err(PackageError::TooLarge {
            file: file.to_owned(),
            size,
            limit: limits.bytes,
        });
    }
    let named = |source| ScanError::InFile {
        file: file.to_owned(),
        source: Box::new(source),
    };
    if size == 0 {
        return Err(named(ScanError::NoGraph).into());
    }
    let graph = if size <= LARGEST_READ {
        scan(&files.read(file, LARGEST_READ)?, &limits)
    } else {
        scan(&map(&path)?, &limits)
    };
    let graph = graph.map_err(named)?;
    check_external(files, &resolved(files, file, &path), &graph).map_err(named)?;
    Ok(graph)
}

pub(crate) fn map(path: &Path) -> Result<Mmap, PackageError> {
    let opened = File::open(path);
    #[expect(unsafe_code, reason = "memmap2 offers no safe form")]
    // SAFETY: the map is only read, by its one owner. Packages may be links to files of others:
    // whoever shortens one of this size while it is looked at ends this process with SIGBUS, and
    // whoever writes to it changes what is read, which the checks of every length bear.
    let map = opened.and_then(|opened| unsafe { Mmap::map(&opened) });
    map.map_err(|source| PackageError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Where a graph really lies in its package: ONNX Runtime looks for weights beside that.
pub(crate) fn resolved(files: &Files, file: &str, path: &Path) -> String {
    let inside = path.strip_prefix(files.root()).ok().and_then(Path::to_str);
    inside.map_or_else(|| file.to_owned(), |inside| inside.replace('\\', "/"))
}

/// Files beside the graph that hold its weights, relative to the package.
#[must_use]
pub fn external_files(file: &str, graph: &Graph) -> Vec<String> {
    let mut names: Vec<String> = graph
        .external
        .iter()
        .map(|external| beside(file, &external.location))
        .collect();
    names.sort();
    names.dedup();
    names
}

fn check_external(files: &Files, file: &str, graph: &Graph) -> Result<(), ScanError> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for external in &graph.external {
        let size = match sizes.get(external.location.as_str()) {
            Some(&size) => size,
            None => {
                let (_, size) = files
                    .locate(&beside(file, &external.location))
                    .map_err(|source| ScanError::External {
                        tensor: external.tensor.clone(),
                        source: Box::new(source),
                    })?;
                sizes.insert(&external.location, size);
                size
            }
        };
        let end = u128::from(external.offset) + u128::from(external.length);
        if end > u128::from(size) {
            return Err(ScanError::ExternalTooShort {
                tensor: external.tensor.clone(),
                location: external.location.clone(),
                offset: external.offset,
                end,
                size,
            });
        }
    }
    Ok(())
}

/// A path relative to the directory of `file`. An absolute `location` stays one and is refused
/// where it is opened.
pub(crate) fn beside(file: &str, location: &str) -> String {
    let location = location.strip_prefix("./").unwrap_or(location);
    match file.rsplit_once('/') {
        Some((directory, _)) if !location.starts_with('/') => format!("{directory}/{location}"),
        Some(_) | None => location.to_owned(),
    }
}
