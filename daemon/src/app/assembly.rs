//! Building the models domain.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::Limits;
use airunner_core::memory::DeviceClass;
use airunner_core::pause::Pause;
use airunner_core::residency::DeviceFacts;
use airunner_platform::{Installation, Places};
use airunner_runtimes::package::EstimateOptions;
use tokio::sync::watch;

use super::options::{identity, policy};
use crate::config::Settings;
use crate::events::{Hub, Publisher};
use crate::hardware::{self, Hardware, MemorySink, Readings};
use crate::models::{Actor, Models, Parts, Records, Store};
use crate::storage::Storage;
use crate::usage::Usage;
use crate::workers::{ProcessLauncher, WorkerOptions};

/// What the models domain is made of.
pub(super) struct Assembly<'a> {
    pub(super) places: &'a Places,
    pub(super) settings: &'a Settings,
    pub(super) workers: watch::Receiver<Arc<WorkerOptions>>,
    pub(super) installation: &'a Installation,
    pub(super) paused: Option<Pause>,
}

impl Assembly<'_> {
    pub(super) fn models(
        &self,
        publisher: Publisher,
        hub: Hub,
        storage: Storage,
        usage: Usage,
        hardware: Hardware,
    ) -> Result<(Models, Actor), Fault> {
        let settings = self.settings;
        let builtin = settings.models.builtin_directory.clone();
        let store = Arc::new(Store::open(
            self.places.models(),
            builtin.unwrap_or_else(|| self.installation.builtin_models()),
        )?);
        let options = Arc::clone(&self.workers.borrow());
        let estimate = EstimateOptions {
            parallel_requests: settings.runtime.parallel_requests,
            prompt_chunk: settings.runtime.prompt_chunk,
            threads: options.load.threads.map(|threads| threads as usize),
        };
        let runtime = identity(&options.onnxruntime_library, options.load.cache_type);
        let failed = move |device| {
            tracing::warn!(%device, "a device failed");
            hardware.device_failed();
        };
        let records = Records::new(Arc::clone(&store), storage, usage, estimate, runtime, failed);
        let parts = Parts {
            limits: Limits {
                keep_alive: settings.models.keep_alive,
            },
            policy: policy(settings),
            devices: self.devices(),
            gpu_budget: settings.memory.gpu_budget,
            favourites: settings.models.priority.clone(),
            threads: options.load.threads.unwrap_or(1),
            paused: self.paused,
            launcher: Arc::new(ProcessLauncher::new(self.workers.clone())),
            knowledge: Arc::new(records),
            publisher,
        };
        Ok(Models::new(store, hub, parts, Some(self.places.config_file())))
    }

    /// ONNX Runtime as it is shipped computes on the CPU; the memory of GPUs is only watched.
    fn devices(&self) -> Vec<DeviceFacts> {
        let memory = &self.settings.memory;
        let readings = hardware::read_now(&[]);
        let facts = |(device, reading)| DeviceFacts {
            device,
            compute_capability: None,
            runs_models: device == Device::Cpu,
            budget: match DeviceClass::from(device) {
                DeviceClass::Cpu => memory.cpu_budget,
                DeviceClass::Gpu => memory.gpu_budget,
            },
            reading,
        };
        readings.into_iter().map(facts).collect()
    }
}

impl MemorySink for Models {
    fn readings(&self, readings: Readings) {
        Self::readings(self, readings);
    }

    fn pressure(&self, device: Device, shortage_bytes: u64) {
        Self::pressure(self, device, shortage_bytes);
    }

    fn worker_pids(&self) -> watch::Receiver<Vec<u32>> {
        Self::worker_pids(self)
    }
}
