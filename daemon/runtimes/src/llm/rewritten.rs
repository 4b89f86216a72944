//! Copies of graphs whose products and attention are computed by our own operators.
//!
//! Owns what such a copy consists of: the graph after the passes, the weights that stay in it,
//! the packed ones, and a description. Which passes are tried, and whether what they made computes
//! the same, is decided by who keeps the copies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airunner_core::ErrorKind;
use airunner_core::model::CacheType;
use airunner_kernels::Isa;
use airunner_kernels::attention::{AttentionError, Element, Geometry};
use ort::operator::OperatorDomain;
use serde::{Deserialize, Serialize};

use super::kv::paged::BLOCK_TOKENS;
use super::prepack::seal;
use super::session;
use super::threads::{self, Share};
use crate::LoadOptions;
use crate::graph::{self, AttentionLayer, GraphError, OnnxRuntime, Pass, Rewritten};
use crate::operators::packing::{self, PackError};
use crate::operators::paged::Paged;
use crate::operators::pool::Pool;
use crate::operators::weights::{INDEX_FILE, WEIGHTS_FILE, Weights, WeightsError};
use crate::operators::{self, Shared};
use crate::package::Package;

const DESCRIPTION: &str = "rewritten.json";
/// Where the weights of a copy are: as large as a model, and told by the rest of the copy and what
/// it is called.
pub(super) const WEIGHTS: [&str; 2] = [graph::WEIGHTS_FILE, WEIGHTS_FILE];

/// Why there is no such copy, or why it does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("cannot {action} {path}: {source}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(transparent)]
    Attention(#[from] AttentionError),
    #[error(transparent)]
    Runtime(Box<super::ComputeError>),
    #[error("ONNX Runtime does not take our operators: {0}")]
    Operators(#[from] ort::Error),
    #[error("the system does not let it start threads to compute with: {0}")]
    Threads(io::Error),
}

impl RewriteError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Graph(error) => error.kind(),
            Self::Pack(error) => error.kind(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::Attention(AttentionError::Memory { .. }) => ErrorKind::OutOfMemory,
            Self::Attention(_) => ErrorKind::ModelIncompatible,
            Self::Runtime(error) => error.kind(),
            Self::Threads(_) => ErrorKind::Unavailable,
            Self::Weights(_) | Self::File { .. } | Self::Operators(_) => ErrorKind::Internal,
        }
    }

    /// Whether the copy is why it does not open; otherwise it is the machine.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Weights(error) => error.is_damage(),
            Self::File { source, .. } => seal::is_damage(source),
            Self::Attention(AttentionError::Memory { .. }) => false,
            Self::Attention(_) => true,
            Self::Runtime(error) => error.is_damage(),
            // Not what an opened copy says.
            Self::Graph(_) | Self::Pack(_) => false,
            // What the graph asks of its operators is checked when ONNX Runtime opens it.
            Self::Operators(_) | Self::Threads(_) => false,
        }
    }

    /// Whether the machine is why a copy could not be made or tried: the same may go well another
    /// time.
    pub(crate) fn is_machine(&self) -> bool {
        let is_weak = |kind| {
            matches!(
                kind,
                ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::DiskFull | ErrorKind::OutOfMemory
            )
        };
        match self {
            Self::Graph(error) => is_weak(error.kind()),
            Self::Pack(PackError::File { source, .. })
            | Self::Weights(WeightsError::Read { source, .. })
            | Self::File { source, .. } => !seal::is_damage(source),
            Self::Pack(error) => is_weak(error.kind()),
            Self::Attention(error) => matches!(error, AttentionError::Memory { .. }),
            Self::Runtime(error) => error.is_machine(),
            Self::Weights(_) => false,
            Self::Operators(_) | Self::Threads(_) => true,
        }
    }
}

/// What is known of a copy beside its graph.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    /// Layers of paged attention; none where attention is the graph's.
    attention: Vec<Heads>,
    /// Keys and values are kept with 16 bits: the weights are less exact than that.
    is_halved: bool,
    applied: Vec<String>,
    skipped: Vec<(String, String)>,
    /// Passes that did not prove themselves.
    refused: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Heads {
    query: usize,
    key_value: usize,
    size: usize,
}

/// A graph after some passes, not yet written.
pub(super) struct Planned(Rewritten);

/// Runs passes over the graph of a package.
pub(super) fn plan(
    package: &Package,
    options: &LoadOptions,
    passes: &[Pass],
) -> Result<Planned, RewriteError> {
    let environment = session::environment(&options.onnxruntime_library);
    let environment = environment.map_err(|error| RewriteError::Runtime(Box::new(error)))?;
    let mut computed = OnnxRuntime(&environment);
    let (files, variant) = (package.files(), package.variant());
    Ok(Planned(graph::rewrite(
        files,
        variant,
        passes,
        Some(&mut computed),
    )?))
}

impl Planned {
    /// Passes that changed something.
    pub(super) fn applied(&self) -> &[&'static str] {
        &self.0.applied
    }

    /// Passes that did not, and why.
    pub(super) fn skipped(&self) -> &[(&'static str, String)] {
        &self.0.skipped
    }

    pub(super) fn is_paged(&self) -> bool {
        !self.0.plan.attention.is_empty()
    }

    fn is_packed(&self) -> bool {
        !self.0.plan.packs.is_empty()
    }

    /// Whether our operators have anything to do.
    pub(super) fn is_worth_it(&self) -> bool {
        self.is_paged() || self.is_packed()
    }

    /// Writes the copy into a directory that is there, with a note of what was left out before.
    pub(super) fn write(
        self,
        package: &Package,
        options: &LoadOptions,
        refused: &[(String, String)],
        directory: &Path,
    ) -> Result<(), RewriteError> {
        let rewritten = self.0;
        let description = Description {
            attention: rewritten.plan.attention.iter().map(Heads::of).collect(),
            is_halved: !rewritten.plan.packs.is_empty(),
            applied: rewritten.applied.iter().map(|&pass| pass.to_owned()).collect(),
            skipped: rewritten
                .skipped
                .iter()
                .map(|(pass, reason)| ((*pass).to_owned(), reason.clone()))
                .collect(),
            refused: refused.to_vec(),
        };
        tracing::debug!(?description, "the graph is rewritten");
        let threads = options.threads.unwrap_or_else(threads::default_count);
        packing::pack(&rewritten.plan.packs, package.files(), directory, threads)?;
        rewritten.write(directory)?;
        let path = directory.join(DESCRIPTION);
        let text = serde_json::to_vec_pretty(&description).map_err(io::Error::other);
        let written = text.and_then(|text| fs::write(&path, text));
        written.map_err(|source| RewriteError::File {
            action: "write",
            path,
            source,
        })
    }
}

/// Whether a copy needs our operators. One of the files is enough: that another is missing is
/// found when it is opened.
pub(super) fn is_rewritten(directory: &Path) -> bool {
    let files = [DESCRIPTION, INDEX_FILE, WEIGHTS_FILE];
    files.iter().any(|file| directory.join(file).is_file())
}

/// The operators of a copy, with its weights, and where its attention keeps keys and values.
pub(super) struct Operators {
    pub(super) domain: OperatorDomain,
    /// `None` where attention is the graph's.
    pub(super) paged: Option<Arc<Paged>>,
    /// What they may use of the session's threads.
    pub(super) threads: Arc<Share>,
}

/// Maps and checks what lies beside the graph of a copy.
pub(super) fn operators(directory: &Path, options: &LoadOptions) -> Result<Operators, RewriteError> {
    let threads = options.threads.unwrap_or_else(threads::default_count);
    let description = description(directory)?;
    let element = element(options.cache_type, description.is_halved);
    let layers = description.attention.iter().map(|heads| heads.geometry(element));
    let layers: Vec<Geometry> = layers.collect::<Result<_, _>>()?;
    let is_paged = !layers.is_empty();
    let paged = Arc::new(Paged::new(layers));
    let weights = Arc::new(Weights::open(directory, threads)?);
    let isa = options.kernels.instructions().unwrap_or(Isa::Portable);
    let threads = Arc::new(Share::of(threads));
    let pool = Arc::new(Pool::new(Arc::clone(&threads)).map_err(RewriteError::Threads)?);
    let shared = Shared::new(weights, Arc::clone(&paged), isa, pool);
    Ok(Operators {
        domain: operators::domain(&shared)?,
        paged: is_paged.then_some(paged),
        threads,
    })
}

/// What keys and values are kept as: by itself as precisely as suits the weights.
fn element(cache_type: CacheType, is_halved: bool) -> Element {
    match cache_type {
        CacheType::Auto if is_halved => Element::F16,
        CacheType::Auto | CacheType::F32 => Element::F32,
        CacheType::F16 => Element::F16,
        CacheType::Q8 => Element::I8,
    }
}

impl Heads {
    fn of(layer: &AttentionLayer) -> Self {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Self {
            query: size(layer.query_heads),
            key_value: size(layer.key_value_heads),
            size: size(layer.head_size),
        }
    }

    fn geometry(&self, element: Element) -> Result<Geometry, AttentionError> {
        Geometry::new(self.query, self.key_value, self.size, BLOCK_TOKENS, element)
    }
}

fn description(directory: &Path) -> Result<Description, RewriteError> {
    let path = directory.join(DESCRIPTION);
    let read = fs::read(&path).and_then(|text| serde_json::from_slice(&text).map_err(io::Error::from));
    read.map_err(|source| RewriteError::File {
        action: "read",
        path,
        source,
    })
}
