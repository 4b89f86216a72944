//! What the actor knows about one model.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::lifecycle::{AttemptId, Limits, Machine, RequestId, State, UnloadReason};
use airunner_core::model::{Instance, Loaded, Model};
use airunner_core::{Fault, Moment};
use tokio::sync::oneshot;

use super::acquire::Grant;
use super::store::Installed;
use crate::workers::{Llm, WorkerHandle};

pub(super) struct Entry {
    pub(super) installed: Installed,
    pub(super) machine: Machine,
    pub(super) worker: Option<Worker>,
    pub(super) requests: HashMap<RequestId, Request>,
    /// Callers who wait for the worker's end.
    pub(super) unloads: Vec<oneshot::Sender<Result<bool, Fault>>>,
    /// When to look at the clock.
    pub(super) wake: Option<Moment>,
    pub(super) last_unload: Option<UnloadReason>,
}

/// The worker of the current attempt.
pub(super) struct Worker {
    pub(super) attempt: AttemptId,
    /// Taken when it is told to stop.
    pub(super) handle: Option<WorkerHandle>,
    pub(super) pid: u32,
    pub(super) memory: u64,
    pub(super) loaded: Option<(Loaded, Arc<dyn Llm>)>,
}

pub(super) enum Request {
    Waiting(oneshot::Sender<Result<Grant, Fault>>),
    Active(oneshot::Sender<Fault>),
}

impl Entry {
    pub(super) fn new(installed: Installed, limits: Limits) -> Self {
        Self {
            installed,
            machine: Machine::new(limits),
            worker: None,
            requests: HashMap::new(),
            unloads: Vec::new(),
            wake: None,
            last_unload: None,
        }
    }

    /// The worker, if it is the one of that attempt.
    pub(super) fn worker(&mut self, attempt: AttemptId) -> Option<&mut Worker> {
        self.worker.as_mut().filter(|worker| worker.attempt == attempt)
    }

    /// As clients see it.
    pub(super) fn model(&self, now: Moment) -> Model {
        Model {
            name: self.installed.name.clone(),
            kind: self.installed.kind,
            state: self.machine.state().name(),
            size_bytes: self.installed.size_bytes,
            source: self.installed.source.clone(),
            instance: self.machine.state().attempt().map(|_| self.instance(now)),
            last_unload_reason: self.last_unload,
        }
    }

    fn instance(&self, now: Moment) -> Instance {
        let state = self.machine.state();
        let progress = match state {
            State::Loading { progress, .. } => Some(*progress),
            State::Unloaded { .. } | State::Loaded { .. } | State::Busy { .. } | State::Unloading { .. } => {
                None
            }
        };
        let worker = self.worker.as_ref();
        let loaded = worker
            .and_then(|worker| worker.loaded.as_ref())
            .map(|(loaded, _)| loaded);
        Instance {
            pid: worker.map_or(0, |worker| worker.pid),
            device: loaded.map_or_else(String::new, |loaded| loaded.device.clone()),
            memory_bytes: worker.map_or(0, |worker| worker.memory),
            context_length: loaded.map_or(0, |loaded| loaded.context_length),
            active_requests: count(state.active()),
            waiting_requests: count(state.waiting().len()),
            progress,
            expires_at: self.machine.expires().map(|at| SystemTime::now() + at.since(now)),
            variant: loaded.map_or_else(String::new, |loaded| loaded.variant.clone()),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
