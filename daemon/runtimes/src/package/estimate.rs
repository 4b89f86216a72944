//! What a package would take in memory, read from its files without loading it.
//!
//! The figures are those of ONNX Runtime 1.31.1 on a CPU as the engine drives it, with one
//! conversation as long as the context. Constants are measured and say so; none is fitted to a
//! package.

use std::path::Path;

use airunner_core::Fault;
use airunner_core::memory::{PackageEstimate, Quantization, VariantEstimate};

use super::weights::{Weights, parameters, weigh};
use super::{Files, Layout, ModelConfig, PackageError, TOKENIZER};
use crate::onnx::parts::{Kind, Parts};
use crate::onnx::{self, Attention, Graph, TensorShape, dtype};

/// Raised when the same files give other figures than before.
pub const ESTIMATOR_VERSION: u32 = 2;

/// A worker process with ONNX Runtime, before it knows a model: measured. A program that was not
/// optimized is larger.
const PROCESS: u64 = if cfg!(debug_assertions) {
    62 << 20
} else {
    46 << 20
};
/// Bytes in memory for each byte of `tokenizer.json`: measured.
const TOKENIZER_FACTOR: u64 = 10;
/// Bytes of a number that is computed with.
const FLOAT_BYTES: u64 = 4;
/// Results as wide as the widest layer that live at once, and as wide as the hidden state.
const WIDE_RESULTS: u64 = 4;
const HIDDEN_RESULTS: u64 = 6;
/// Scores of attention that live at once, and keys and values repeated for every head.
const SCORES: u64 = 2;
const REPEATED: u64 = 3;
/// For attention of standard operators, whose results have another size in every step: what the
/// pool of ONNX Runtime loses to pieces that do not fit, as a fraction of four.
const POOL_LOSS_IN_FOUR: u64 = 5;
/// As the engine chooses where neither a setting nor the package says more.
const LONGEST: u64 = 8192;

/// How the model would be driven.
#[derive(Clone, Copy, Debug)]
pub struct EstimateOptions {
    /// Sequences decoded together.
    pub parallel_requests: usize,
    /// Prompt tokens computed in one step.
    pub prompt_chunk: usize,
    /// Threads of one model; `None`: one per physical core.
    pub threads: Option<usize>,
}

impl Default for EstimateOptions {
    fn default() -> Self {
        Self {
            parallel_requests: 8,
            prompt_chunk: 256,
            threads: None,
        }
    }
}

/// Reads what each variant of the package in a directory needs. Variants whose files are not
/// whole are left out; if that leaves none, the first one's error is returned.
pub fn estimate(directory: &Path, options: &EstimateOptions) -> Result<PackageEstimate, Fault> {
    #[cfg(feature = "fake-runtime")]
    if let Some(estimate) = crate::fake::estimate(directory)? {
        return Ok(estimate);
    }
    let layout = Layout::read(directory)?;
    let (_, tokenizer_bytes) = layout.files.locate(TOKENIZER)?;
    let mut variants = Vec::new();
    let mut refused = None;
    for file in &layout.variants {
        let of = |graph: &Graph, parts: &Parts<'_>| {
            Reading {
                file,
                graph,
                parts,
                config: &layout.config,
                options,
                tokenizer_bytes,
            }
            .estimate()
        };
        match onnx::inspect_parts(&layout.files, file, of) {
            Ok(variant) => variants.push(variant),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if variants.is_empty() => Err(error.into()),
        Some(error) => {
            tracing::debug!(directory = %directory.display(), %error, "a variant is left out");
            Ok(of_package(variants, &layout.config))
        }
        None if variants.is_empty() => Err(PackageError::NotAPackage {
            path: directory.to_owned(),
        }
        .into()),
        None => Ok(of_package(variants, &layout.config)),
    }
}

/// How precisely the weights of one variant are kept.
pub(crate) fn level_of(files: &Files, file: &str) -> Result<Quantization, PackageError> {
    let weighed = onnx::inspect_parts(files, file, |_, parts| weigh(parts).level)?;
    Ok(weighed.or_else(|| hinted(file)).unwrap_or(Quantization::None))
}

/// How many weights one variant has.
pub(super) fn parameters_of(files: &Files, file: &str) -> Result<Option<u64>, PackageError> {
    onnx::inspect_parts(files, file, |_, parts| parameters(parts))
}

fn of_package(variants: Vec<VariantEstimate>, config: &ModelConfig) -> PackageEstimate {
    PackageEstimate {
        variants,
        context_length: config.context_length,
    }
}

/// One variant's graph and what is known around it.
struct Reading<'r, 'm> {
    file: &'r str,
    graph: &'r Graph,
    parts: &'r Parts<'m>,
    config: &'r ModelConfig,
    options: &'r EstimateOptions,
    tokenizer_bytes: u64,
}

impl Reading<'_, '_> {
    fn estimate(&self) -> VariantEstimate {
        let weights = weigh(self.parts);
        let level = weights
            .level
            .or_else(|| hinted(self.file))
            .unwrap_or(Quantization::None);
        let cache = cache_shape(self.graph, self.config);
        let (fixed, growing) = self.activations(&weights, &cache);
        VariantEstimate {
            file: self.file.to_owned(),
            level,
            weights_bytes: weights.bytes,
            cache_bytes_per_token: cache.bytes_per_token,
            cache_window: cache.window,
            activation_bytes: fixed,
            activation_bytes_per_token: growing,
            loading_bytes: weights.loading_bytes,
            step_bytes: weights.step_bytes,
            overhead_bytes: PROCESS.saturating_add(self.tokenizer_bytes.saturating_mul(TOKENIZER_FACTOR)),
            compute_capability_min: (level == Quantization::BFloat16).then_some((8, 0)),
        }
    }

    /// Bytes of the results that do not depend on the context, and per token of those that do.
    fn activations(&self, weights: &Weights, cache: &CacheShape) -> (u64, u64) {
        let vocabulary = self.vocabulary(weights);
        let per_row = per_row(weights, vocabulary);
        let logits = self.logits_per_row(vocabulary);
        let chunk = self.options.prompt_chunk.max(1) as u64;
        if !cache.exists {
            // Everything is computed again in every step, as long as it is.
            let longest = self.config.context_length.map_or(LONGEST, u64::from).min(LONGEST);
            let scores = self
                .heads(cache)
                .saturating_mul(longest)
                .saturating_mul(SCORES * FLOAT_BYTES);
            let growing = per_row.saturating_add(logits.0).saturating_add(scores);
            return (logits.1, growing);
        }
        let step = per_row.saturating_mul(chunk);
        let all_logits = logits.0.saturating_mul(chunk).saturating_add(logits.1);
        let fixed = step
            .saturating_add(all_logits)
            .saturating_add(weights.unpacked_bytes);
        (fixed, self.attention_per_token(chunk, cache))
    }

    /// Bytes of logits for every row of a step, and once per step.
    fn logits_per_row(&self, vocabulary: u64) -> (u64, u64) {
        let output = self.graph.outputs.iter().find(|output| output.name == "logits");
        let is_half = output.is_some_and(|output| matches!(output.dtype, dtype::FLOAT16 | dtype::BFLOAT16));
        // Half precision is computed in full and then converted.
        let bytes = vocabulary.saturating_mul(if is_half { FLOAT_BYTES + 2 } else { FLOAT_BYTES });
        let only_last = output.is_some_and(|output| output.dimensions.get(1) == Some(&Some(1)))
            || self
                .graph
                .inputs
                .iter()
                .any(|input| matches!(input.name.as_str(), "num_logits_to_keep" | "logits_to_keep"));
        if only_last { (0, bytes) } else { (bytes, 0) }
    }

    fn vocabulary(&self, weights: &Weights) -> u64 {
        let output = self.graph.outputs.iter().find(|output| output.name == "logits");
        let declared = output
            .and_then(|output| output.dimensions.last().copied().flatten())
            .and_then(|size| u64::try_from(size).ok());
        declared.unwrap_or_else(|| {
            let widths = weights.shapes.iter().map(|&(_, columns)| columns);
            widths.max().unwrap_or(0)
        })
    }

    /// Of attention whose results grow with the conversation.
    fn attention_per_token(&self, chunk: u64, cache: &CacheShape) -> u64 {
        let heads = self.heads(cache);
        let scores = heads.saturating_mul(chunk).saturating_mul(FLOAT_BYTES);
        match self.graph.attention() {
            Attention::GroupQuery => {
                let is_special = |(kind, node): &(Kind, crate::onnx::parts::Node<'_>)| {
                    *kind == Kind::GroupQueryAttention && node.numbers.is_special
                };
                // The usual one is computed in pieces that do not grow.
                if self.parts.nodes.iter().any(is_special) {
                    scores
                } else {
                    0
                }
            }
            Attention::MultiHead | Attention::Decomposed => {
                let repeated = heads.saturating_mul(cache.size).saturating_mul(FLOAT_BYTES);
                let all = scores
                    .saturating_mul(SCORES)
                    .saturating_add(repeated.saturating_mul(REPEATED));
                all.saturating_mul(POOL_LOSS_IN_FOUR) / 4
            }
        }
    }

    fn heads(&self, cache: &CacheShape) -> u64 {
        let of_node = self
            .parts
            .nodes
            .iter()
            .map(|(_, node)| node.numbers.heads)
            .max()
            .filter(|heads| *heads > 0);
        of_node
            .or(self.config.attention_heads.map(u64::from))
            .unwrap_or(cache.heads)
    }
}

/// Bytes of keys and values that an estimate reckons with for a conversation of so many tokens.
pub(super) fn cache_bytes(graph: &Graph, config: &ModelConfig, tokens: u64) -> u64 {
    let shape = cache_shape(graph, config);
    let cached = shape.window.map_or(tokens, |window| tokens.min(window.into()));
    shape.bytes_per_token.saturating_mul(cached)
}

fn cache_shape(graph: &Graph, config: &ModelConfig) -> CacheShape {
    let is_cache = |input: &&TensorShape| {
        input.name.contains("past") && (input.name.contains("key") || input.name.contains("value"))
    };
    let mut shape = CacheShape::default();
    let mut windows = Vec::new();
    for input in graph.inputs.iter().filter(is_cache) {
        let fixed = |index: usize| {
            let size = input.dimensions.get(index).copied().flatten();
            size.and_then(|size| u64::try_from(size).ok())
                .filter(|size| *size > 0)
        };
        let heads = fixed(1).or(config.key_value_heads.map(u64::from)).unwrap_or(0);
        let size = fixed(3).or(config.head_size.map(u64::from)).unwrap_or(0);
        let elements = heads.saturating_mul(size);
        let bytes = dtype::bytes(input.dtype, elements).unwrap_or(elements.saturating_mul(FLOAT_BYTES));
        shape.bytes_per_token = shape.bytes_per_token.saturating_add(bytes);
        (shape.heads, shape.size) = (shape.heads.max(heads), shape.size.max(size));
        windows.push(fixed(2));
    }
    shape.exists = !windows.is_empty();
    let widest: Option<Vec<u64>> = windows.into_iter().collect();
    shape.window = widest
        .and_then(|windows| windows.into_iter().max())
        .and_then(|window| u32::try_from(window).ok());
    if graph.attention() != Attention::GroupQuery {
        // What goes in lives as long as what comes out.
        shape.bytes_per_token = shape.bytes_per_token.saturating_mul(2);
    }
    shape
}

/// What the cache inputs say.
#[derive(Default)]
struct CacheShape {
    exists: bool,
    bytes_per_token: u64,
    window: Option<u32>,
    heads: u64,
    size: u64,
}

/// Results of one layer for one row of a step, bytes.
fn per_row(weights: &Weights, vocabulary: u64) -> u64 {
    let layers = || weights.shapes.iter().filter(|shape| shape.1 != vocabulary);
    let head = weights.shapes.iter().find(|shape| shape.1 == vocabulary);
    let widest = layers().map(|shape| shape.0).max().unwrap_or(0);
    let narrowest = layers().map(|shape| shape.0).min().unwrap_or(0);
    let hidden = head.map_or(narrowest, |head| head.0);
    let numbers = widest
        .saturating_mul(WIDE_RESULTS)
        .saturating_add(hidden.saturating_mul(HIDDEN_RESULTS));
    let bytes = numbers.saturating_mul(FLOAT_BYTES);
    if weights.is_half {
        bytes.saturating_add(bytes / 2)
    } else {
        bytes
    }
}

/// What the name of a graph file says of its precision.
fn hinted(file: &str) -> Option<Quantization> {
    let stem = file.rsplit('/').next()?.strip_suffix(".onnx")?;
    let hints = [
        ("q4", Quantization::Int4),
        ("bnb4", Quantization::Int4),
        ("q2", Quantization::Int2),
        ("int8", Quantization::Int8),
        ("quantized", Quantization::Int8),
        ("q8", Quantization::Int8),
        ("bf16", Quantization::BFloat16),
        ("fp16", Quantization::Float16),
    ];
    let known = |(hint, level): (&str, Quantization)| stem.contains(hint).then_some(level);
    hints.into_iter().find_map(known)
}
