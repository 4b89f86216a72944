//! Packages and devices on paper, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use airunner_core::hardware::Device;
use airunner_core::lifecycle::{Limits, UnloadReason};
use airunner_core::memory::{Budget, MemoryReading, PackageEstimate, Quantization, VariantEstimate};
use airunner_core::residency::{DeviceFacts, LoadOption, PackageFacts, Policy};
use airunner_core::{Fault, KeepAlive, ModelName};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::{Installed, Knowledge, Lived, Parts};
use crate::events::Publisher;
use crate::workers::Launcher;

/// Bytes of a machine on paper.
pub(crate) const TOTAL: u64 = 100 << 30;

/// Its cores.
pub(crate) const THREADS: u32 = 5;

/// Every package takes what is written here, or a gibibyte.
#[derive(Clone, Default)]
pub(crate) struct Paperwork {
    pub(crate) sizes: Arc<Mutex<BTreeMap<ModelName, u64>>>,
    pub(crate) learned: Arc<Mutex<Vec<(ModelName, Lived)>>>,
}

impl Knowledge for Paperwork {
    fn facts(&self, installed: &Installed) -> BoxFuture<'static, Result<PackageFacts, Fault>> {
        let sizes = self.sizes.lock().unwrap();
        let size = sizes.get(&installed.name).copied().unwrap_or(1 << 30);
        let variant = VariantEstimate {
            file: "model.onnx".to_owned(),
            level: Quantization::Int4,
            weights_bytes: size,
            cache_bytes_per_token: 0,
            cache_window: None,
            activation_bytes: 0,
            activation_bytes_per_token: 0,
            loading_bytes: 0,
            step_bytes: 0,
            overhead_bytes: 0,
            compute_capability_min: None,
        };
        let facts = PackageFacts {
            estimate: PackageEstimate {
                variants: vec![variant],
                context_length: None,
            },
            factor_percent: 100,
            ..PackageFacts::default()
        };
        async move { Ok(facts) }.boxed()
    }

    fn learned(&self, installed: &Installed, _option: &LoadOption, lived: Lived) {
        self.learned.lock().unwrap().push((installed.name.clone(), lived));
    }

    fn loaded(&self, _model: &ModelName, _outcome: Result<Duration, ()>) {}

    fn unloaded(&self, _model: &ModelName, _reason: &UnloadReason, _peak_bytes: u64) {}

    fn removed(&self, _model: &ModelName) {}

    fn main_memory(&self, _workers: &[u32]) -> MemoryReading {
        reading()
    }

    fn device_failed(&self, _device: Device) {}
}

fn reading() -> MemoryReading {
    MemoryReading {
        total_bytes: TOTAL,
        available_bytes: TOTAL,
        own_bytes: 0,
    }
}

/// A machine with main memory only.
pub(crate) fn parts(
    launcher: Arc<dyn Launcher>,
    knowledge: Paperwork,
    publisher: Publisher,
    keep_alive: KeepAlive,
    budget: Budget,
) -> Parts {
    Parts {
        limits: Limits { keep_alive },
        policy: Policy {
            queue_length: 20,
            fair_after: Duration::from_secs(30),
            capacity: 32,
            context_length: 4096,
        },
        devices: vec![DeviceFacts {
            device: Device::Cpu,
            compute_capability: None,
            runs_models: true,
            budget,
            reading: reading(),
        }],
        gpu_budget: Budget::default(),
        favourites: Vec::new(),
        threads: THREADS,
        paused: None,
        launcher,
        knowledge: Arc::new(knowledge),
        publisher,
    }
}
