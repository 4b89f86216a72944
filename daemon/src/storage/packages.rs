//! What packages need, as computed from their files: reading a thousand packages again at every
//! start would take minutes.

use airunner_core::Fault;
use airunner_core::memory::{PackageEstimate, Quantization, VariantEstimate};
use rusqlite::OptionalExtension as _;
use serde::{Deserialize, Serialize};

use super::thread::Storage;

impl Storage {
    /// What is kept for a package, if it was made by the same code with the same settings.
    pub async fn package_estimate(
        &self,
        digest: String,
        made_by: String,
    ) -> Result<Option<PackageEstimate>, Fault> {
        self.call(move |connection| {
            let text: Option<String> = connection
                .query_row(
                    "SELECT estimate FROM package_estimates WHERE digest = ?1 AND made_by = ?2",
                    [digest, made_by],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(text.as_deref().and_then(decode))
        })
        .await
    }

    /// Keeps it in place of an earlier one.
    pub async fn put_package_estimate(
        &self,
        digest: String,
        made_by: String,
        estimate: &PackageEstimate,
    ) -> Result<(), Fault> {
        let text = serde_json::to_string(&Package::from(estimate))
            .map_err(|error| Fault::internal(format!("an estimate cannot be written down: {error}")))?;
        self.call(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO package_estimates (digest, made_by, estimate) VALUES (?1, ?2, ?3)",
                [digest, made_by, text],
            )?;
            Ok(())
        })
        .await
    }
}

/// `None` if it is not what this program writes: it is computed again then.
fn decode(text: &str) -> Option<PackageEstimate> {
    let package: Package = serde_json::from_str(text).ok()?;
    package.decoded()
}

#[derive(Serialize, Deserialize)]
struct Package {
    context_length: Option<u32>,
    variants: Vec<Variant>,
}

#[derive(Serialize, Deserialize)]
struct Variant {
    file: String,
    level: String,
    weights_bytes: u64,
    cache_bytes_per_token: u64,
    cache_window: Option<u32>,
    activation_bytes: u64,
    activation_bytes_per_token: u64,
    loading_bytes: u64,
    step_bytes: u64,
    overhead_bytes: u64,
    compute_capability_min: Option<(u32, u32)>,
}

impl From<&PackageEstimate> for Package {
    fn from(estimate: &PackageEstimate) -> Self {
        Self {
            context_length: estimate.context_length,
            variants: estimate.variants.iter().map(Variant::from).collect(),
        }
    }
}

impl From<&VariantEstimate> for Variant {
    fn from(variant: &VariantEstimate) -> Self {
        Self {
            file: variant.file.clone(),
            level: variant.level.as_str().to_owned(),
            weights_bytes: variant.weights_bytes,
            cache_bytes_per_token: variant.cache_bytes_per_token,
            cache_window: variant.cache_window,
            activation_bytes: variant.activation_bytes,
            activation_bytes_per_token: variant.activation_bytes_per_token,
            loading_bytes: variant.loading_bytes,
            step_bytes: variant.step_bytes,
            overhead_bytes: variant.overhead_bytes,
            compute_capability_min: variant.compute_capability_min,
        }
    }
}

impl Package {
    fn decoded(self) -> Option<PackageEstimate> {
        let variants: Option<Vec<_>> = self.variants.into_iter().map(Variant::decoded).collect();
        Some(PackageEstimate {
            variants: variants.filter(|variants| !variants.is_empty())?,
            context_length: self.context_length,
        })
    }
}

impl Variant {
    fn decoded(self) -> Option<VariantEstimate> {
        Some(VariantEstimate {
            level: Quantization::parse(&self.level)?,
            file: self.file,
            weights_bytes: self.weights_bytes,
            cache_bytes_per_token: self.cache_bytes_per_token,
            cache_window: self.cache_window,
            activation_bytes: self.activation_bytes,
            activation_bytes_per_token: self.activation_bytes_per_token,
            loading_bytes: self.loading_bytes,
            step_bytes: self.step_bytes,
            overhead_bytes: self.overhead_bytes,
            compute_capability_min: self.compute_capability_min,
        })
    }
}
