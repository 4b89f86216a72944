//! What is known of packages from earlier lives, kept in the database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use airunner_core::hardware::Device;
use airunner_core::lifecycle::UnloadReason;
use airunner_core::memory::{MemoryReading, PackageEstimate};
use airunner_core::residency::{LoadOption, PackageFacts};
use airunner_core::usage::{Measurement, MeasurementKey, UsageEvent};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::memory::Monitor;
use airunner_runtimes::package::{self, EstimateOptions};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::handle::blocking;
use super::knowledge::{Knowledge, Lived};
use super::store::{Installed, Store};
use crate::storage::Storage;
use crate::usage::Usage;

/// The records, and the devices they were made on.
pub struct Records {
    shelf: Arc<Shelf>,
    usage: Usage,
    /// Asked by one at a time: the actor, which waits for nobody else.
    monitor: Mutex<Monitor>,
    device_failed: Box<dyn Fn(Device) + Send + Sync>,
}

/// What a look at a package needs.
struct Shelf {
    store: Arc<Store>,
    storage: Storage,
    options: EstimateOptions,
    /// Which ONNX Runtime loads take place with.
    runtime: String,
}

impl Records {
    /// `runtime` tells one ONNX Runtime library from another.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        storage: Storage,
        usage: Usage,
        options: EstimateOptions,
        runtime: String,
        device_failed: impl Fn(Device) + Send + Sync + 'static,
    ) -> Self {
        Self {
            shelf: Arc::new(Shelf {
                store,
                storage,
                options,
                runtime,
            }),
            usage,
            monitor: Mutex::new(Monitor::new()),
            device_failed: Box::new(device_failed),
        }
    }
}

impl Knowledge for Records {
    fn facts(&self, installed: &Installed) -> BoxFuture<'static, Result<PackageFacts, Fault>> {
        let (shelf, installed) = (Arc::clone(&self.shelf), installed.clone());
        async move { shelf.facts(installed).await }.boxed()
    }

    fn learned(&self, installed: &Installed, option: &LoadOption, lived: Lived) {
        let (shelf, installed, option) = (Arc::clone(&self.shelf), installed.clone(), option.clone());
        tokio::spawn(async move {
            if let Err(fault) = shelf.record(installed, option, lived).await {
                tracing::warn!(%fault, "what a load took was not written down");
            }
        });
    }

    fn loaded(&self, model: &ModelName, outcome: Result<Duration, ()>) {
        let model = model.clone();
        self.usage.note(&match outcome {
            Ok(took) => UsageEvent::Loaded { model, took },
            Err(()) => UsageEvent::LoadFailed { model },
        });
    }

    fn unloaded(&self, model: &ModelName, reason: &UnloadReason, peak_bytes: u64) {
        self.usage.note(&UsageEvent::Unloaded {
            model: model.clone(),
            reason: reason.name().to_owned(),
            peak_bytes,
        });
    }

    fn removed(&self, model: &ModelName) {
        let (usage, model) = (self.usage.clone(), model.clone());
        tokio::spawn(async move {
            if let Err(fault) = usage.forget(model).await {
                tracing::warn!(%fault, "the use of a removed model is still counted");
            }
        });
    }

    fn main_memory(&self, workers: &[u32]) -> MemoryReading {
        let mut monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner);
        monitor.main_reading(workers)
    }

    fn device_failed(&self, device: Device) {
        (self.device_failed)(device);
    }
}

/// What an estimate depends on besides the package.
fn made_by(options: &EstimateOptions) -> String {
    format!("{} {options:?}", package::ESTIMATOR_VERSION)
}

impl Shelf {
    async fn facts(&self, installed: Installed) -> Result<PackageFacts, Fault> {
        if !installed.directory.is_dir() {
            let message = format!(
                "the files of the model are gone from {}: remove it and install it again",
                installed.directory.display()
            );
            return Err(Fault::new(ErrorKind::ModelInvalid, message));
        }
        let digest = self.digest(&installed).await?;
        let estimate = self.estimate(&installed, &digest).await?;
        let known = self.storage.measurements(digest).await?;
        let known = known
            .into_iter()
            .filter(|measured| measured.key.runtime == self.runtime);
        let mut facts = PackageFacts {
            estimate,
            learned: BTreeMap::new(),
            factor_percent: 100,
            load_time: None,
        };
        for measured in known {
            add(&mut facts, &measured);
        }
        Ok(facts)
    }

    async fn digest(&self, installed: &Installed) -> Result<String, Fault> {
        let (store, installed) = (Arc::clone(&self.store), installed.clone());
        blocking(move || Ok(store.digest(&installed)?)).await
    }

    /// Of an earlier look, or of the files.
    async fn estimate(&self, installed: &Installed, digest: &str) -> Result<PackageEstimate, Fault> {
        let made_by = made_by(&self.options);
        let known = self.storage.package_estimate(digest.to_owned(), made_by.clone());
        if let Some(known) = known.await? {
            return Ok(known);
        }
        let (directory, options) = (installed.directory.clone(), self.options);
        let estimate = blocking(move || package::estimate(&directory, &options)).await?;
        self.storage
            .put_package_estimate(digest.to_owned(), made_by, &estimate)
            .await?;
        Ok(estimate)
    }

    async fn record(&self, installed: Installed, option: LoadOption, lived: Lived) -> Result<(), Fault> {
        let (store, package) = (Arc::clone(&self.store), installed.clone());
        // Files that somebody changed are not what the digest stands for.
        if !blocking(move || Ok(store.is_as_large_as_published(&package))).await? {
            return Ok(());
        }
        let digest = self.digest(&installed).await?;
        let measurement = Measurement {
            key: MeasurementKey {
                digest,
                variant: option.variant,
                context_length: option.context_length,
                device: option.device,
                runtime: self.runtime.clone(),
            },
            base_bytes: lived.base_bytes,
            peak_bytes: lived.peak_bytes,
            load_time: lived.load_time,
            factor: f64::from(u32::try_from(lived.factor_percent).unwrap_or(100)) / 100.0,
            updated_at: SystemTime::now(),
        };
        self.storage.record_measurement(measurement).await.map(drop)
    }
}

fn add(facts: &mut PackageFacts, measured: &Measurement) {
    let key = (
        measured.key.variant.clone(),
        measured.key.context_length,
        measured.key.device,
    );
    if measured.peak_bytes > 0 {
        facts.learned.insert(key, measured.peak_bytes);
    }
    if !measured.load_time.is_zero() {
        facts.load_time = Some(measured.load_time);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded by the database layer to a small positive number"
    )]
    let percent = (measured.factor * 100.0) as u64;
    facts.factor_percent = facts.factor_percent.max(percent);
}
