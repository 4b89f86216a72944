//! Those who wait: for a turn, and for an estimate.

use airunner_core::lifecycle::Cause;
use airunner_core::memory::{Estimate, EstimateRequest};
use airunner_core::residency::Wishes;
use airunner_core::{Fault, ModelName};
use tokio::sync::oneshot;

use super::actor::{Actor, not_found};
use super::caller::Caller;

/// Somebody who wants to know what a model would take.
pub(super) struct EstimateWaiting {
    request: EstimateRequest,
    reply: oneshot::Sender<Result<Estimate, Fault>>,
}

impl Actor {
    /// Tells everybody in the queue their place, if it has changed.
    pub(super) fn tell_who_waits(&mut self) {
        for (request, name, queued) in self.residency.waiting(self.now()) {
            // A look at the files takes milliseconds and is nobody's queue.
            if queued.position == 0 && self.residency.facts_known(&name) == Ok(false) {
                continue;
            }
            let Some(Caller::Waiting(waiting)) = self.callers.get(&request) else {
                continue;
            };
            waiting.place.send_if_modified(|told| {
                let same = told.position == queued.position && told.reason == queued.reason;
                if !same {
                    *told = queued;
                }
                !same
            });
        }
        self.tell_how_many_wait();
    }

    fn tell_how_many_wait(&mut self) {
        let wanted = self.residency.wanted();
        let mut changed = Vec::new();
        for (name, entry) in &mut self.entries {
            let waiting = wanted.get(name).copied().unwrap_or(0);
            if std::mem::replace(&mut entry.told_waiting, waiting) != waiting {
                changed.push((name.clone(), entry.machine.state().name()));
            }
        }
        for (name, state) in changed {
            self.announce(&name, state, state, Cause::Waiting, String::new());
        }
    }

    pub(super) fn estimate(
        &mut self,
        request: EstimateRequest,
        reply: oneshot::Sender<Result<Estimate, Fault>>,
    ) {
        if !self.entries.contains_key(&request.name) {
            drop(reply.send(Err(not_found(&request.name))));
            return;
        }
        match self.residency.facts_known(&request.name) {
            Ok(true) => drop(reply.send(self.estimated(&request))),
            Ok(false) | Err(_) => {
                let name = request.name.clone();
                self.estimates.push(EstimateWaiting { request, reply });
                self.look_at_files(name);
            }
        }
    }

    pub(super) fn answer_estimates(&mut self, name: &ModelName) {
        let waiting = std::mem::take(&mut self.estimates);
        for EstimateWaiting { request, reply } in waiting {
            if request.name == *name {
                let answer = self.residency.facts_known(name);
                let answer = answer.and_then(|_| self.estimated(&request));
                drop(reply.send(answer));
            } else {
                self.estimates.push(EstimateWaiting { request, reply });
            }
        }
    }

    fn estimated(&self, request: &EstimateRequest) -> Result<Estimate, Fault> {
        let wishes = Wishes {
            level: request.level,
            context_length: request.context_length,
        };
        let preview = self.residency.preview(&request.name, wishes, self.now())?;
        let option = preview.option;
        let (variant, learned) = self
            .residency
            .details(&request.name, &option)
            .ok_or_else(|| Fault::internal("an estimate without a variant"))?;
        Ok(Estimate {
            computed: variant.footprint(option.context_length),
            variant: option.variant,
            level: option.level,
            device: option.device,
            context_length: option.context_length,
            learned_bytes: learned,
            total_bytes: option.bytes,
            fits: preview.refusal.is_none(),
            would_unload: preview.would_unload,
            refusal: preview.refusal.map(|fault| fault.message).unwrap_or_default(),
        })
    }
}
