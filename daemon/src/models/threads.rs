//! The cores, shared among the models that compute at the same time.

use airunner_core::cores::shares;
use airunner_core::lifecycle::{AttemptId, StateName};
use airunner_core::{Fault, ModelName};

use super::actor::{Actor, Happened};

impl Actor {
    /// Tells every worker how many threads it may use, where that has changed. One that has nothing
    /// to do is told all of them, so that whoever asks it next need not wait for a word.
    pub(super) fn share_threads(&mut self) {
        let states = self.entries.values().map(|entry| entry.machine.state().name());
        let busy = states.filter(|state| *state == StateName::Busy).count();
        let all = self.threads;
        let mut shares = shares(all as usize, busy).into_iter();
        for (name, entry) in &mut self.entries {
            let share = match entry.machine.state().name() {
                StateName::Busy => shares.next(),
                StateName::Loaded => None,
                StateName::Unloaded | StateName::Loading | StateName::Unloading => continue,
            };
            let share = share.map_or(all, |share| u32::try_from(share).unwrap_or(all));
            let Some(worker) = &mut entry.worker else { continue };
            let Some((_, llm)) = &worker.loaded else { continue };
            if worker.threads.is_under_way || worker.threads.told == Some(share) {
                continue;
            }
            (worker.threads.told, worker.threads.is_under_way) = (Some(share), true);
            let (name, attempt) = (name.clone(), worker.attempt);
            let telling = llm.use_threads(share);
            self.happens.push(Box::pin(async move {
                Happened::Told {
                    name,
                    attempt,
                    threads: telling.await,
                }
            }));
        }
    }

    pub(super) fn told_threads(&mut self, name: &ModelName, attempt: AttemptId, threads: Result<u32, Fault>) {
        let worker = self.entries.get_mut(name).and_then(|entry| entry.worker(attempt));
        let Some(worker) = worker else {
            return;
        };
        worker.threads.is_under_way = false;
        match threads {
            Ok(threads) => {
                worker.threads.used = threads;
                tracing::debug!(model = %name, threads, "it computes with so many threads");
                self.refresh(name);
            }
            // It keeps what it has, until it is to have another number.
            Err(fault) => tracing::debug!(model = %name, %fault, "its threads could not be changed"),
        }
    }
}
