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
    /// The largest results of one step whose size does not depend on the context, bytes.
    pub activation_bytes: u64,
    /// The largest whose size does, bytes per token of context. They are not needed at the same
    /// time as the others.
    pub activation_bytes_per_token: u64,
    /// What loading needs for a moment beyond weights and overhead, while the cache is empty.
    pub loading_bytes: u64,
    /// Weights that every step reads, bytes.
    pub step_bytes: u64,
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
        let cache_bytes = self.cache_bytes_per_token.saturating_mul(cached);
        let growing = self.activation_bytes_per_token.saturating_mul(u64::from(context));
        let loading = self.loading_bytes.saturating_sub(cache_bytes);
        Footprint {
            weights_bytes: self.weights_bytes,
            cache_bytes,
            activation_bytes: self.activation_bytes.max(growing).max(loading),
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
    /// Weights that every step reads, bytes: with the bandwidth of memory, what bounds its speed.
    pub step_bytes: u64,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn variant() -> VariantEstimate {
        VariantEstimate {
            file: "model.onnx".to_owned(),
            level: Quantization::Int4,
            weights_bytes: 1000,
            cache_bytes_per_token: 2,
            cache_window: None,
            activation_bytes: 50,
            activation_bytes_per_token: 1,
            loading_bytes: 100,
            step_bytes: 900,
            overhead_bytes: 10,
            compute_capability_min: None,
        }
    }

    #[test]
    fn what_is_not_needed_at_the_same_time_is_not_added_up() {
        // Loading needs most, then the fixed results, then those that grow.
        for (context, activation) in [(10, 80), (25, 50), (40, 50), (200, 200)] {
            let footprint = variant().footprint(context);
            assert_eq!(footprint.activation_bytes, activation, "{context}");
            assert_eq!(footprint.total(), 1010 + u64::from(context) * 2 + activation);
        }
    }

    #[test]
    fn a_window_bounds_the_cache_and_nothing_overflows() {
        let windowed = VariantEstimate {
            cache_window: Some(16),
            ..variant()
        };
        assert_eq!(windowed.footprint(1000).cache_bytes, 32);
        let huge = VariantEstimate {
            cache_bytes_per_token: u64::MAX,
            activation_bytes_per_token: u64::MAX,
            ..variant()
        };
        assert_eq!(huge.footprint(u32::MAX).total(), u64::MAX);
    }
}
