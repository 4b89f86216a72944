//! What workers report, and what is learned from it.

use airunner_core::lifecycle::{AttemptId, Event, StateName, UnloadReason};
use airunner_core::{ErrorKind, Fault, ModelName};

use super::actor::Actor;
use super::knowledge::Lived;
use crate::workers::{News, Report};

/// How a process ends that the system kills for want of memory.
const KILLED: &str = "9";

impl Actor {
    pub(super) fn reported(
        &mut self,
        Report {
            model: name,
            attempt,
            news,
        }: Report,
    ) {
        let now = self.now();
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        let state = entry.machine.state().name();
        let Some(worker) = entry.worker(attempt) else {
            tracing::debug!(model = %name, %attempt, "a report of an earlier worker is dropped");
            return;
        };
        match news {
            News::Started { pid } => {
                worker.pid = pid;
                self.tell_pids();
                self.refresh(&name);
            }
            News::Memory(memory) => {
                worker.memory = memory.resident_bytes;
                worker.peak = worker.peak.max(memory.peak_bytes);
                self.residency.measured(&name, memory.resident_bytes);
                self.refresh(&name);
                if let Some(device) = self.residency.holding(&name).map(|option| option.device) {
                    let decisions = self.residency.over_budget(device, true, now);
                    self.do_all(decisions);
                }
            }
            News::Progress(progress) => self.step(&name, Event::Progress { attempt, progress }),
            News::Loaded { loaded, llm } => {
                let took = now.since(worker.started);
                worker.loaded = Some((loaded, llm));
                self.residency.loaded_in(&name, took);
                self.knowledge.loaded(&name, Ok(took));
                self.learn(&name);
                self.step(&name, Event::LoadSucceeded { attempt });
            }
            News::LoadFailed { fault, crashed } => self.load_failed(&name, attempt, fault, crashed),
            News::Exited(fault) if state == StateName::Loading => {
                self.load_failed(&name, attempt, fault, true);
            }
            News::Exited(fault) => {
                if let Some((loaded, _)) = &worker.loaded
                    && let Some(device) = airunner_core::hardware::Device::parse(&loaded.device)
                {
                    self.knowledge.device_failed(device);
                }
                self.step(&name, Event::WorkerExited { attempt, fault });
            }
            News::Stopped => self.step(&name, Event::Stopped { attempt }),
        }
    }

    /// A load that died of memory is tried once more, with more set aside and all idle models
    /// out of the way.
    fn load_failed(&mut self, name: &ModelName, attempt: AttemptId, fault: Fault, crashed: bool) {
        let killed = fault.figures.get("signal").is_some_and(|signal| signal == KILLED);
        let of_memory = fault.kind == ErrorKind::OutOfMemory || (crashed && killed);
        let retry = of_memory && self.residency.ran_out_of_memory(name);
        if retry {
            tracing::warn!(model = %name, "the load died of memory: it is tried again with more room");
        }
        self.knowledge.loaded(name, Err(()));
        let event = Event::LoadFailed {
            attempt,
            fault,
            crashed,
            retry,
        };
        self.step(name, event);
    }

    /// Right after a load: what it took so far.
    fn learn(&self, name: &ModelName) {
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let (Some(worker), Some(option)) = (&entry.worker, self.residency.holding(name)) else {
            return;
        };
        let lived = Lived {
            load_time: self.now().since(worker.started),
            base_bytes: worker.memory,
            peak_bytes: 0,
            factor_percent: self.residency.factor_percent(name),
        };
        self.knowledge.learned(&entry.installed, option, lived);
    }

    /// Its worker is gone: its memory is back, and what it took in its life is known.
    pub(super) fn unloaded(&mut self, name: &ModelName, reason: UnloadReason) {
        let option = self.residency.holding(name).cloned();
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        entry.last_unload = Some(reason.clone());
        for reply in entry.unloads.drain(..) {
            drop(reply.send(Ok(true)));
        }
        let worker = entry.worker.take();
        let peak = worker.as_ref().map_or(0, |worker| worker.peak);
        self.knowledge.unloaded(name, &reason, peak);
        if let (Some(worker), Some(option)) = (worker, option)
            && worker.loaded.is_some()
            && peak > 0
        {
            let lived = Lived {
                load_time: std::time::Duration::ZERO,
                base_bytes: 0,
                peak_bytes: peak,
                factor_percent: self.residency.factor_percent(name),
            };
            if let Some(entry) = self.entries.get(name) {
                self.knowledge.learned(&entry.installed, &option, lived);
            }
            self.residency.learned(name, &option, peak);
        }
        self.tell_pids();
    }

    fn tell_pids(&self) {
        let workers = self.entries.values().filter_map(|entry| entry.worker.as_ref());
        let pids: Vec<u32> = workers.map(|worker| worker.pid).filter(|pid| *pid != 0).collect();
        self.pids.send_if_modified(|known| {
            let changed = *known != pids;
            *known = pids;
            changed
        });
    }
}
