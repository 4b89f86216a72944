//! PLACEHOLDER until runtimes has it.
use airunner_core::Fault;
use airunner_core::memory::{PackageEstimate, Quantization, VariantEstimate};
use std::path::Path;
pub const ESTIMATOR_VERSION: u32 = 0;
#[derive(Clone, Debug)]
pub struct EstimateOptions {
    pub parallel_requests: usize,
    pub prompt_chunk: usize,
    pub threads: Option<usize>,
}
pub fn estimate(directory: &Path, _options: &EstimateOptions) -> Result<PackageEstimate, Fault> {
    let summary = airunner_runtimes::package::inspect(directory)?;
    Ok(PackageEstimate {
        variants: vec![VariantEstimate {
            file: summary.variants.first().cloned().unwrap_or_default(),
            level: Quantization::Int4,
            weights_bytes: summary.size_bytes,
            cache_bytes_per_token: 0,
            cache_window: None,
            activation_bytes: 0,
            activation_bytes_per_token: 0,
            loading_bytes: 0,
            overhead_bytes: 20 << 20,
            compute_capability_min: None,
        }],
        context_length: summary.context_length,
    })
}
