//! What packages need, as computed from their files: reading a thousand packages again at every
//! start would take minutes.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use airunner_core::Fault;
use airunner_core::memory::{PackageEstimate, Quantization, VariantEstimate};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::measurements;
use super::thread::Storage;

impl Storage {
    /// All that this version of the estimator computed, by digest.
    pub async fn package_estimates(&self, estimator: u32) -> Result<HashMap<String, PackageEstimate>, Fault> {
        self.call(move |connection| {
            let mut statement =
                connection.prepare("SELECT digest, estimate FROM package_estimates WHERE estimator = ?1")?;
            let rows = statement.query_map([estimator], |row| {
                let (digest, text): (String, String) = (row.get(0)?, row.get(1)?);
                Ok(decode(&text).map(|estimate| (digest, estimate)))
            })?;
            rows.filter_map(Result::transpose).collect()
        })
        .await
    }

    pub async fn package_estimate(
        &self,
        digest: String,
        estimator: u32,
    ) -> Result<Option<PackageEstimate>, Fault> {
        self.call(move |connection| {
            let text: Option<String> = connection
                .query_row(
                    "SELECT estimate FROM package_estimates WHERE digest = ?1 AND estimator = ?2",
                    params![digest, estimator],
                    |row| row.get(0),
                )
                .optional()?;
            Ok(text.as_deref().and_then(decode))
        })
        .await
    }

    pub async fn put_package_estimate(
        &self,
        digest: String,
        estimator: u32,
        estimate: &PackageEstimate,
    ) -> Result<(), Fault> {
        let text = serde_json::to_string(&Package::from(estimate))
            .map_err(|error| Fault::internal(format!("an estimate cannot be written down: {error}")))?;
        self.call(move |connection| {
            connection.execute(
                "INSERT OR REPLACE INTO package_estimates (digest, estimator, estimate) VALUES (?1, ?2, ?3)",
                params![digest, estimator, text],
            )?;
            Ok(())
        })
        .await
    }

    /// Forgets the estimates of all packages but these and of other versions of the estimator,
    /// and measurements that are old besides.
    pub async fn prune_packages(&self, known: HashSet<String>, estimator: u32) -> Result<(), Fault> {
        self.call(move |connection| {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM package_estimates WHERE estimator <> ?1", [estimator])?;
            let digests: Vec<String> = transaction
                .prepare("SELECT digest FROM package_estimates")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            for digest in digests.iter().filter(|digest| !known.contains(*digest)) {
                transaction.execute("DELETE FROM package_estimates WHERE digest = ?1", [digest])?;
            }
            measurements::prune(&transaction, &known, SystemTime::now())?;
            transaction.commit()
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
            overhead_bytes: self.overhead_bytes,
            compute_capability_min: self.compute_capability_min,
        })
    }
}
