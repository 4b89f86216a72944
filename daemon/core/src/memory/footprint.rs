//! What a model would take, by part.

use super::quantization::Quantization;
use crate::hardware::Device;

/// Memory of one loaded model, bytes, by what it is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Weights as the runtime keeps them, its packed copies included.
    pub weights_bytes: u64,
    /// Keys and values of one conversation as long as the context.
    pub cache_bytes: u64,
    /// The largest intermediate results of one step.
    pub activation_bytes: u64,
    /// The process itself: program, ONNX Runtime, tokenizer.
    pub overhead_bytes: u64,
}

impl Footprint {
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.weights_bytes
            .saturating_add(self.cache_bytes)
            .saturating_add(self.activation_bytes)
            .saturating_add(self.overhead_bytes)
    }
}

/// What one variant of a package needs, read from its files without loading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantEstimate {
    /// The graph file, relative to the package.
    pub file: String,
    pub level: Quantization,
    /// As in [`Footprint`].
    pub weights_bytes: u64,
    /// Keys and values of one token, bytes.
    pub cache_bytes_per_token: u64,
    /// Tokens the cache holds at most whatever the context is (a sliding window); `None`: no bound.
    pub cache_window: Option<u32>,
    /// Activations that do not depend on the context, bytes.
    pub activation_bytes: u64,
    /// Further activations for every token of context, bytes.
    pub activation_bytes_per_token: u64,
    /// As in [`Footprint`].
    pub overhead_bytes: u64,
    /// The least compute capability a GPU needs for it.
    pub compute_capability_min: Option<(u32, u32)>,
}

impl VariantEstimate {
    /// With a conversation of `context` tokens.
    #[must_use]
    pub fn footprint(&self, context: u32) -> Footprint {
        let cached = u64::from(self.cache_window.map_or(context, |window| window.min(context)));
        Footprint {
            weights_bytes: self.weights_bytes,
            cache_bytes: self.cache_bytes_per_token.saturating_mul(cached),
            activation_bytes: self
                .activation_bytes
                .saturating_add(self.activation_bytes_per_token.saturating_mul(u64::from(context))),
            overhead_bytes: self.overhead_bytes,
        }
    }
}

/// What a package needs, for each variant it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageEstimate {
    /// In no particular order; never empty.
    pub variants: Vec<VariantEstimate>,
    /// Longest context the package declares, tokens.
    pub context_length: Option<u32>,
}

/// What `models estimate` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// The graph file, relative to the package.
    pub variant: String,
    pub level: Quantization,
    pub device: Device,
    /// Tokens of one conversation it is computed for.
    pub context_length: u32,
    /// As computed from the files.
    pub computed: Footprint,
    /// What it really took when it was loaded like this last, bytes.
    pub learned_bytes: Option<u64>,
    /// What is set aside for it: the learned figure, or else the computed one, bytes.
    pub total_bytes: u64,
    /// True if it could be loaded now, after unloading `would_unload`.
    pub fits: bool,
    /// Models that would have to go.
    pub would_unload: Vec<crate::ModelName>,
    /// Why it does not fit, for a person; empty if it does.
    pub refusal: String,
}
