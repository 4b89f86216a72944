//! Those who wait: for a turn, and for an estimate.

use airunner_core::lifecycle::Cause;
use airunner_core::memory::{Estimate, EstimateRequest, Permission, PermissionRequest};
use airunner_core::residency::{PackageFacts, Wishes};
use airunner_core::{Fault, ModelName};
use tokio::sync::oneshot;

use super::actor::{Actor, not_found};
use super::caller::Caller;

/// What somebody wants to know of a model whose files have to be looked at first.
pub(super) enum Question {
    Estimate(EstimateRequest, oneshot::Sender<Result<Estimate, Fault>>),
    CanPerform(PermissionRequest, ModelName, oneshot::Sender<Permission>),
}

impl Question {
    const fn model(&self) -> &ModelName {
        match self {
            Self::Estimate(request, _) => &request.name,
            Self::CanPerform(_, name, _) => name,
        }
    }

    fn is_abandoned(&self) -> bool {
        match self {
            Self::Estimate(_, reply) => reply.is_closed(),
            Self::CanPerform(_, _, reply) => reply.is_closed(),
        }
    }
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
        self.ask(Question::Estimate(request, reply));
    }

    pub(super) fn can_perform(&mut self, request: PermissionRequest, reply: oneshot::Sender<Permission>) {
        match request.model.clone() {
            Some(name) if self.entries.contains_key(&name) => {
                self.ask(Question::CanPerform(request, name, reply));
            }
            Some(_) | None => {
                let permission = self.residency.can_perform(request.kind, request.model.as_ref());
                drop(reply.send(self.permitted(permission)));
            }
        }
    }

    /// Answers at once if the files are known, and otherwise after a look at them.
    fn ask(&mut self, question: Question) {
        if self.residency.facts_known(question.model()) == Ok(true) {
            return self.answer(question);
        }
        let name = question.model().clone();
        self.questions.retain(|question| !question.is_abandoned());
        self.questions.push(question);
        self.look_at_files(name);
    }

    /// A package was looked at; an earlier one of that name is of no interest any more.
    pub(super) fn looked_at(
        &mut self,
        name: &ModelName,
        installation: u64,
        facts: Result<PackageFacts, Fault>,
    ) {
        if self.looks.get(name) != Some(&installation) {
            return;
        }
        self.looks.remove(name);
        if let Err(fault) = &facts {
            tracing::info!(model = %name, reason = %fault.kind, "the package cannot be loaded");
        }
        self.residency.facts(name, facts);
        self.residency.forgive(name, self.now());
        let (answered, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.questions)
            .into_iter()
            .partition(|question| question.model() == name);
        self.questions = waiting;
        for question in answered {
            self.answer(question);
        }
    }

    fn answer(&self, question: Question) {
        match question {
            Question::Estimate(request, reply) => {
                let known = self.residency.facts_known(&request.name);
                drop(reply.send(known.and_then(|_| self.estimated(&request))));
            }
            Question::CanPerform(request, name, reply) => {
                let permission = self.residency.can_perform(request.kind, Some(&name));
                drop(reply.send(self.permitted(permission)));
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
            step_bytes: variant.step_bytes,
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
