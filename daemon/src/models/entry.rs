//! What the actor knows about one model.

use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::lifecycle::{AttemptId, Limits, Machine, State, UnloadReason};
use airunner_core::memory::Quantization;
use airunner_core::model::{Instance, Loaded, Model};
use airunner_core::residency::Place;
use airunner_core::{Fault, Moment};
use tokio::sync::oneshot;

use super::store::Installed;
use crate::workers::{Llm, WorkerHandle};

pub(super) struct Entry {
    pub(super) installed: Installed,
    /// Numbers what was ever installed, so that a look at an earlier package of that name is known.
    pub(super) installation: u64,
    pub(super) machine: Machine,
    pub(super) worker: Option<Worker>,
    /// Callers who wait for the worker's end.
    pub(super) unloads: Vec<oneshot::Sender<Result<bool, Fault>>>,
    /// When to look at the clock.
    pub(super) wake: Option<Moment>,
    pub(super) last_unload: Option<UnloadReason>,
    /// Why it was loaded last.
    pub(super) loaded_for: &'static str,
    /// How many wait for it, as everybody was told last.
    pub(super) told_waiting: usize,
}

/// The worker of the current attempt.
pub(super) struct Worker {
    pub(super) attempt: AttemptId,
    /// Taken when it is told to stop.
    pub(super) handle: Option<WorkerHandle>,
    pub(super) pid: u32,
    pub(super) memory: u64,
    pub(super) peak: u64,
    pub(super) started: Moment,
    pub(super) loaded: Option<(Loaded, Arc<dyn Llm>)>,
    pub(super) threads: Telling,
}

/// How many threads a worker may use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Telling {
    /// What it was told last.
    pub(super) told: Option<u32>,
    /// It has not answered yet: nothing else is told meanwhile, so that the last word is the last.
    pub(super) is_under_way: bool,
    /// What it answered last; 0 before.
    pub(super) used: u32,
}

/// What is set aside for a model, as clients see it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SetAside {
    pub(super) bytes: u64,
    pub(super) pinned: bool,
    pub(super) level: Option<Quantization>,
    pub(super) waiting: usize,
}

impl Entry {
    pub(super) fn new(installed: Installed, limits: Limits, installation: u64) -> Self {
        Self {
            installed,
            installation,
            machine: Machine::new(limits),
            worker: None,
            unloads: Vec::new(),
            wake: None,
            last_unload: None,
            loaded_for: "",
            told_waiting: 0,
        }
    }

    /// The worker, if it is the one of that attempt.
    pub(super) fn worker(&mut self, attempt: AttemptId) -> Option<&mut Worker> {
        self.worker.as_mut().filter(|worker| worker.attempt == attempt)
    }

    /// Where it is as far as memory is concerned.
    pub(super) fn place(&self, now: Moment) -> Place {
        match self.machine.state() {
            State::Unloaded { .. } => self.machine.refusal(now).map_or(Place::Unloaded, Place::Refusing),
            State::Loading { waiting, .. } => Place::Loading {
                waiting: waiting.len(),
            },
            State::Loaded { .. } => Place::Idle,
            State::Busy { active, leaving, .. } => Place::Busy {
                active: active.len(),
                leaving: leaving.is_some(),
            },
            State::Unloading { .. } => Place::Leaving,
        }
    }

    /// As clients see it.
    pub(super) fn model(&self, now: Moment, aside: SetAside) -> Model {
        let state = self.machine.state();
        let waiting = count(state.waiting().len().saturating_add(aside.waiting));
        Model {
            name: self.installed.name.clone(),
            kind: self.installed.kind,
            state: state.name(),
            size_bytes: self.installed.size_bytes,
            source: self.installed.source.clone(),
            instance: state.attempt().map(|_| self.instance(now, aside, waiting)),
            last_unload_reason: self.last_unload.clone(),
            waiting_requests: waiting,
        }
    }

    fn instance(&self, now: Moment, aside: SetAside, waiting: u32) -> Instance {
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
            waiting_requests: waiting,
            progress,
            expires_at: self.machine.expires().map(|at| SystemTime::now() + at.since(now)),
            variant: loaded.map_or_else(String::new, |loaded| loaded.variant.clone()),
            estimated_bytes: aside.bytes,
            pinned: aside.pinned,
            loaded_for: self.loaded_for.to_owned(),
            level: loaded.and_then(|loaded| loaded.level).or(aside.level),
            prepacked: loaded.is_some_and(|loaded| loaded.prepacked),
            threads: worker.map_or(0, |worker| worker.threads.used),
            cache_type: loaded.map_or_else(String::new, |loaded| loaded.cache_type.clone()),
        }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
