//! Doing what the machines and the residency say.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::event::Event as Announcement;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::{AttemptId, Cause, Effect, Event, RequestId, StateName};
use airunner_core::model::Model;
use airunner_core::residency::Decision;
use airunner_core::{Fault, ModelName, Moment};
use tokio::sync::oneshot;

use super::acquire::Grant;
use super::actor::{Actor, Happened};
use super::caller::Caller;
use super::entry::{SetAside, Telling, Worker};
use crate::workers::{Order, Reports};

/// Decisions that follow from each other in one go. More than that is a defect.
const MOST_ROUNDS: usize = 1_000;
/// A reading this old is not decided by.
const FRESH: Duration = Duration::from_millis(500);

/// When to decide again, if that is all it says.
const fn wake(decision: &Decision) -> Option<Moment> {
    match decision {
        Decision::WakeAt(at) => Some(*at),
        Decision::NeedFacts(_)
        | Decision::Load { .. }
        | Decision::Admit { .. }
        | Decision::Evict { .. }
        | Decision::Trim(_)
        | Decision::Refuse { .. } => None,
    }
}

impl Actor {
    /// Decides and does until there is nothing more to do.
    pub(super) fn settle(&mut self) {
        self.look_again();
        for _ in 0..MOST_ROUNDS {
            let now = self.now();
            let decisions = self.residency.decide(now);
            self.decide_at = decisions.iter().filter_map(wake).min();
            if decisions.iter().all(|decision| wake(decision).is_some()) {
                return self.tell_who_waits();
            }
            for decision in decisions {
                self.do_as_decided(decision);
            }
        }
        tracing::error!("a defect of this program: the decisions about memory do not end");
    }

    /// What may have changed by itself since the last decision.
    fn look_again(&mut self) {
        let now = self.now();
        let wanted = self.residency.wanted();
        if wanted.is_empty() {
            return;
        }
        let mut needs_memory = false;
        for name in wanted.keys() {
            if let Some(entry) = self.entries.get(name)
                && entry.machine.state().name() == StateName::Unloaded
            {
                needs_memory = true;
                self.residency.observe(name, entry.place(now), now);
            }
        }
        if needs_memory && self.read_at.is_none_or(|at| now.since(at) >= FRESH) {
            let pids = self.pids.borrow().clone();
            let reading = self.knowledge.main_memory(&pids);
            self.read_at = Some(now);
            self.residency.read(Device::Cpu, reading);
            self.publish_memory();
        }
    }

    pub(super) fn do_as_decided(&mut self, decision: Decision) {
        match decision {
            Decision::NeedFacts(name) => self.look_at_files(name),
            Decision::Load { model, option } => {
                let bytes = option.bytes;
                tracing::info!(%model, level = %option.level, device = %option.device, bytes, "memory is set aside");
                self.publish_memory();
            }
            Decision::Admit { request, model } => self.admit(request, &model),
            Decision::Evict { model, reason } => {
                self.step(&model, Event::Evict { reason });
                // One that has become busy stays, whatever was planned.
                self.observe(&model);
            }
            Decision::Trim(name) => self.trim(name),
            Decision::Refuse { request, fault } => self.refuse(request, fault),
            Decision::WakeAt(_) => {}
        }
    }

    /// Looks at a package, once however many want to know of it.
    pub(super) fn look_at_files(&mut self, name: ModelName) {
        let Some(entry) = self.entries.get(&name) else {
            return;
        };
        let installation = entry.installation;
        if self.looks.insert(name.clone(), installation) == Some(installation) {
            return;
        }
        let looking = self.knowledge.facts(&entry.installed);
        self.happens.push(Box::pin(async move {
            let facts = looking.await;
            Happened::Facts {
                name,
                installation,
                facts,
            }
        }));
    }

    fn admit(&mut self, request: RequestId, model: &ModelName) {
        let Some((purpose, want)) = self.purpose(request) else {
            return self.observe(model);
        };
        let (keep_alive, why) = (want.keep_alive, want.why);
        if let Some(entry) = self.entries.get_mut(model)
            && entry.machine.state().name() == StateName::Unloaded
        {
            entry.loaded_for = why;
        }
        self.step(
            model,
            Event::Acquire {
                request,
                purpose,
                keep_alive,
            },
        );
    }

    fn trim(&mut self, name: ModelName) {
        let worker = self.entries.get(&name).and_then(|entry| entry.worker.as_ref());
        let Some((_, llm)) = worker.and_then(|worker| worker.loaded.as_ref()) else {
            return;
        };
        let trimming = llm.trim();
        self.happens
            .push(Box::pin(async move { Happened::Trimmed(name, trimming.await) }));
    }

    pub(super) fn refuse(&mut self, request: RequestId, fault: Fault) {
        if let Some(Caller::Waiting(waiting)) = self.callers.remove(&request) {
            let name = waiting.want.name;
            drop(waiting.reply.send(Err(fault)));
            self.refresh(&name);
        }
    }

    /// Tells a machine what happened and does what it says.
    pub(super) fn step(&mut self, name: &ModelName, event: Event) {
        let now = self.now();
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        match entry.machine.step(event, now) {
            Ok(effects) => {
                for effect in effects {
                    self.perform(name, effect, now);
                }
            }
            Err(error) => tracing::error!(model = %name, %error, "a defect of this program"),
        }
        self.tell_pins();
        self.observe(name);
    }

    /// Tells the residency where a machine is.
    fn observe(&mut self, name: &ModelName) {
        let now = self.now();
        let Some(entry) = self.entries.get(name) else {
            return;
        };
        let held = self.residency.reserved(name);
        self.residency.observe(name, entry.place(now), now);
        if self.residency.reserved(name) != held {
            self.publish_memory();
        }
    }

    fn perform(&mut self, name: &ModelName, effect: Effect, now: Moment) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        match effect {
            Effect::Announce {
                from,
                to,
                cause,
                message,
            } => self.announce(name, from, to, cause, message),
            Effect::StartWorker { attempt } => {
                let worker = self.start_worker(name, attempt, now);
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.worker = worker;
                }
            }
            Effect::StopWorker { attempt, stop } => {
                if let Some(handle) = entry.worker(attempt).and_then(|worker| worker.handle.take()) {
                    handle.stop(stop);
                }
            }
            Effect::Grant { request, attempt } => self.grant(name, request, attempt, now),
            Effect::Requeue { request } => {
                if let Some(Caller::Waiting(waiting)) = self.callers.get(&request) {
                    self.residency.ask_again(waiting.demand.clone());
                }
            }
            Effect::Refuse { request, fault } => self.refuse(request, fault),
            Effect::Cancel { request, fault } => {
                if let Some(Caller::Active { cancel, .. }) = self.callers.remove(&request) {
                    drop(cancel.send(fault));
                }
            }
            Effect::WakeAt(moment) => entry.wake = moment,
        }
    }

    fn grant(&mut self, name: &ModelName, request: RequestId, attempt: AttemptId, now: Moment) {
        let llm = self.entries.get_mut(name).and_then(|entry| {
            let loaded = entry.worker(attempt)?.loaded.as_ref()?;
            Some(Arc::clone(&loaded.1))
        });
        let Some(Caller::Waiting(waiting)) = self.callers.remove(&request) else {
            return;
        };
        let (Some(llm), Some(model)) = (llm, self.model(name)) else {
            let fault = Fault::internal("a model was granted without a worker");
            drop(waiting.reply.send(Err(fault)));
            return self.step(name, Event::Release { request });
        };
        if let Some(pinned) = waiting.want.pinned {
            self.pin(name, pinned);
        }
        let (cancel, cancelled) = oneshot::channel();
        let caller = Caller::Active {
            model: name.clone(),
            purpose: waiting.want.purpose,
            since: now,
            cancel,
        };
        self.callers.insert(request, caller);
        // A caller that has left meanwhile shows by its presence being gone.
        drop(waiting.reply.send(Ok(Grant {
            llm,
            model: Box::new(model),
            cancelled,
        })));
    }

    fn pin(&mut self, name: &ModelName, pinned: bool) {
        if self.residency.is_pinned(name) == pinned {
            return;
        }
        self.residency.pin(name, pinned);
        self.pinned.push(name.clone());
    }

    /// Said once the step that pinned them has said everything else.
    fn tell_pins(&mut self) {
        for name in std::mem::take(&mut self.pinned) {
            let state = self.entries.get(&name).map(|entry| entry.machine.state().name());
            if let Some(state) = state {
                self.announce(&name, state, state, Cause::Pinned, String::new());
            }
        }
    }

    pub(super) fn announce(
        &mut self,
        name: &ModelName,
        from: StateName,
        to: StateName,
        cause: Cause,
        message: String,
    ) {
        if from == to {
            tracing::debug!(model = %name, state = %to, reason = %cause, "model changed");
        } else {
            let detail = (!message.is_empty()).then_some(&message);
            tracing::info!(event = "model_state", model = %name, %from, %to, reason = %cause, detail, "model changed state");
        }
        if let (StateName::Unloaded, Cause::Unload(reason)) = (to, &cause) {
            self.unloaded(name, reason.clone());
        }
        // An effect speaks of the moment it was decided; a later one of the same step may have
        // moved on, and what clients are told must fit together.
        let Some(mut model) = self.model(name) else {
            return;
        };
        model.state = to;
        if to == StateName::Unloaded {
            model.instance = None;
        }
        self.publisher.publish(Announcement::ModelChanged {
            model: Box::new(model),
            from,
            cause,
            message,
        });
    }

    fn start_worker(&self, name: &ModelName, attempt: AttemptId, now: Moment) -> Option<Worker> {
        let entry = self.entries.get(name)?;
        let option = self.residency.holding(name);
        let order = Order {
            model: name.clone(),
            attempt,
            directory: entry.installed.directory.clone(),
            variant: option.map(|option| option.variant.clone()),
            context_length: option.map(|option| option.context_length),
        };
        let reports = Reports {
            model: name.clone(),
            attempt,
            sender: self.report_sender.clone(),
        };
        let handle = self.launcher.launch(order, reports);
        Some(Worker {
            attempt,
            handle: Some(handle),
            pid: 0,
            memory: 0,
            peak: 0,
            started: now,
            loaded: None,
            threads: Telling::default(),
        })
    }

    /// A model as clients see it.
    pub(super) fn model(&self, name: &ModelName) -> Option<Model> {
        let option = self.residency.holding(name);
        let aside = SetAside {
            bytes: option.map_or(0, |option| option.bytes),
            pinned: self.residency.is_pinned(name),
            level: option.map(|option| option.level),
            waiting: self.residency.waiting_for(name),
        };
        let entry = self.entries.get(name)?;
        Some(entry.model(self.now(), aside))
    }

    pub(super) fn refresh(&self, name: &ModelName) {
        if let Some(model) = self.model(name) {
            self.publisher.refresh(model);
        }
    }
}
