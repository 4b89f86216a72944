//! How things are at the moment of asking.

use std::time::Duration;

use airunner_core::lifecycle::StateName;
use airunner_core::memory::MemoryBreakdown;
use airunner_core::model::Model;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::labels::{self, Device, Part, State, Version};

/// What other domains know and nobody has to count.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    pub models: Vec<Model>,
    pub memory: Vec<MemoryBreakdown>,
    /// Resident memory of the daemon itself, bytes.
    pub own_memory_bytes: u64,
    pub uptime: Duration,
}

type Gauges<L> = Family<L, Gauge>;

impl Picture {
    pub(super) fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("airunner");
        self.register_daemon(&mut registry);
        self.register_models(&mut registry);
        self.register_memory(&mut registry);
        registry
    }

    fn register_daemon(&self, registry: &mut Registry) {
        let build = Gauges::<Version>::default();
        let version = env!("CARGO_PKG_VERSION");
        build.get_or_create(&Version { version }).set(1);
        registry.register("build", "Which version runs", build);
        let uptime = Gauge::<i64>::default();
        uptime.set(number(self.uptime.as_secs()));
        registry.register_with_unit("uptime", "Since the start", Unit::Seconds, uptime);
        let memory = Gauge::<i64>::default();
        memory.set(number(self.own_memory_bytes));
        registry.register_with_unit(
            "daemon_memory",
            "Resident memory of the daemon itself",
            Unit::Bytes,
            memory,
        );
    }

    fn register_models(&self, registry: &mut Registry) {
        let (states, memory) = (Gauges::<State>::default(), Gauges::<labels::Model>::default());
        let (active, waiting, threads) = (
            Gauges::<labels::Model>::default(),
            Gauges::<labels::Model>::default(),
            Gauges::<labels::Model>::default(),
        );
        for model in &self.models {
            let name = model.name.to_string();
            for state in StateName::ALL {
                let label = State {
                    model: name.clone(),
                    state: state.as_str(),
                };
                states.get_or_create(&label).set(i64::from(state == model.state));
            }
            let label = labels::Model { model: name };
            waiting
                .get_or_create(&label)
                .set(i64::from(model.waiting_requests));
            if let Some(instance) = &model.instance {
                memory.get_or_create(&label).set(number(instance.memory_bytes));
                active
                    .get_or_create(&label)
                    .set(i64::from(instance.active_requests));
                threads.get_or_create(&label).set(i64::from(instance.threads));
            }
        }
        registry.register("model_state", "1 for the state a model is in", states);
        registry.register_with_unit(
            "model_memory",
            "Resident memory of a model's worker",
            Unit::Bytes,
            memory,
        );
        registry.register("active_requests", "Requests a model works on", active);
        registry.register("queue_length", "Requests that wait for a model", waiting);
        registry.register("model_threads", "Threads a model computes with", threads);
    }

    fn register_memory(&self, registry: &mut Registry) {
        let (memory, total, budget) = (
            Gauges::<Part>::default(),
            Gauges::<Device>::default(),
            Gauges::<Device>::default(),
        );
        for row in &self.memory {
            let device = row.device.to_string();
            for (part, bytes) in [
                ("models", row.models_bytes),
                ("reserved", row.canvas_history_bytes),
                ("system_reserve", row.system_reserve_bytes),
                ("others", row.external_apps_bytes),
                ("free", row.free_bytes),
            ] {
                let device = device.clone();
                memory.get_or_create(&Part { device, part }).set(number(bytes));
            }
            let label = Device { device };
            total.get_or_create(&label).set(number(row.total_bytes));
            budget.get_or_create(&label).set(number(row.budget_bytes));
        }
        let mut bytes = |name, help, gauges: Gauges<Device>| {
            registry.register_with_unit(name, help, Unit::Bytes, gauges);
        };
        bytes("memory_total", "Memory of a device", total);
        bytes(
            "memory_budget",
            "What models and reservations may have together",
            budget,
        );
        registry.register_with_unit("memory", "Who has the memory of a device", Unit::Bytes, memory);
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
