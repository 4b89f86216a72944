//! The transitions.

use std::collections::BTreeSet;

use super::refusals::{circuit_open, refuse_all, shutting_down, unloaded_meanwhile};
use super::state::{AttemptId, Cause, RequestId, State, StateName, UnloadReason, Waiter};
use super::step::{Effect, Event, IllegalTransition, Limits, Purpose, Stop};
use crate::breaker::CrashBreaker;
use crate::error::Fault;
use crate::keep_alive::KeepAlive;
use crate::model::LoadProgress;
use crate::time::Moment;

/// The life of one model.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    limits: Limits,
    /// Chosen by the last caller who had a wish; forgotten with the worker.
    keep_alive: Option<KeepAlive>,
    breaker: CrashBreaker,
    attempts: u64,
    closed: bool,
}

impl Machine {
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            state: State::Unloaded { last: None },
            limits,
            keep_alive: None,
            breaker: CrashBreaker::default(),
            attempts: 0,
            closed: false,
        }
    }

    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Goes by other numbers from the next look at the clock.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// How long this load is kept, if somebody said so.
    #[must_use]
    pub const fn keep_alive(&self) -> Option<KeepAlive> {
        self.keep_alive
    }

    /// When the model will be unloaded if nobody asks for it.
    #[must_use]
    pub fn expires(&self) -> Option<Moment> {
        let State::Loaded { idle_since, .. } = self.state else {
            return None;
        };
        match self.keep_alive.unwrap_or(self.limits.keep_alive) {
            KeepAlive::After(time) => Some(idle_since.plus(time)),
            KeepAlive::Forever => None,
        }
    }

    /// Why no load is started now, if none is.
    #[must_use]
    pub fn refusal(&self, now: Moment) -> Option<Fault> {
        if self.closed {
            return Some(shutting_down());
        }
        match self.state {
            State::Unloaded { .. } => self.breaker.blocked_for(now).map(circuit_open),
            State::Loading { .. } | State::Loaded { .. } | State::Busy { .. } | State::Unloading { .. } => {
                None
            }
        }
    }

    /// The one place where the state changes.
    pub fn step(&mut self, event: Event, now: Moment) -> Result<Vec<Effect>, IllegalTransition> {
        match event {
            Event::Acquire {
                request,
                purpose,
                keep_alive,
            } => self.acquire(Waiter { request, purpose }, keep_alive, now),
            Event::Release { request } => Ok(self.release(request, now)),
            Event::Progress { attempt, progress } => Ok(self.progress(attempt, progress)),
            Event::LoadSucceeded { attempt } => self.load_succeeded(attempt, now),
            Event::LoadFailed {
                attempt,
                fault,
                crashed,
                retry,
            } => self.load_failed(attempt, fault, crashed, retry, now),
            Event::WorkerExited { attempt, fault } => Ok(self.worker_exited(attempt, fault, now)),
            Event::Stopped { attempt } => self.stopped(attempt),
            Event::Tick => Ok(self.tick(now)),
            Event::Unload { force } => Ok(self.unload(force, UnloadReason::Requested, &unloaded_meanwhile())),
            Event::Pause { force, fault } => Ok(self.unload(force, UnloadReason::Paused, &fault)),
            Event::Resume => Ok(self.resume()),
            Event::Evict { reason } => Ok(self.evict(reason)),
            Event::Shutdown => Ok(self.shutdown()),
        }
    }

    fn acquire(
        &mut self,
        waiter: Waiter,
        keep_alive: Option<KeepAlive>,
        now: Moment,
    ) -> Result<Vec<Effect>, IllegalTransition> {
        if self.knows(waiter.request) {
            return Err(self.illegal("a second Acquire of the same request"));
        }
        let request = waiter.request;
        if let Some(fault) = self.refusal(now) {
            return Ok(vec![Effect::Refuse { request, fault }]);
        }
        let from = self.state.name();
        match &mut self.state {
            State::Unloaded { .. } => {
                self.keep_alive = keep_alive;
                Ok(self.start(waiter))
            }
            State::Loading { waiting, .. } => {
                waiting.push(waiter);
                self.keep_alive = keep_alive.or(self.keep_alive);
                Ok(vec![self.announce(from, Cause::Request, "")])
            }
            State::Loaded { attempt, idle_since } => {
                let attempt = *attempt;
                self.keep_alive = keep_alive.or(self.keep_alive);
                match waiter.purpose {
                    Purpose::Load => {
                        *idle_since = now;
                        let mut effects = vec![Effect::Grant { request, attempt }];
                        effects.extend(self.idle_or_leave(attempt, now, from, Cause::Request));
                        Ok(effects)
                    }
                    Purpose::Use => {
                        self.state = busy(attempt, BTreeSet::from([request]));
                        Ok(vec![
                            Effect::WakeAt(None),
                            self.announce(from, Cause::Request, ""),
                            Effect::Grant { request, attempt },
                        ])
                    }
                }
            }
            State::Busy { leaving: Some(_), .. } | State::Unloading { .. } => Err(self.illegal("Acquire")),
            State::Busy {
                attempt,
                active,
                leaving: None,
            } => {
                let attempt = *attempt;
                if waiter.purpose == Purpose::Use {
                    active.insert(request);
                }
                self.keep_alive = keep_alive.or(self.keep_alive);
                Ok(vec![
                    self.announce(from, Cause::Request, ""),
                    Effect::Grant { request, attempt },
                ])
            }
        }
    }

    fn release(&mut self, request: RequestId, now: Moment) -> Vec<Effect> {
        if !self.knows(request) {
            return Vec::new();
        }
        let from = self.state.name();
        match &mut self.state {
            State::Unloaded { .. } | State::Loaded { .. } | State::Unloading { .. } => Vec::new(),
            State::Loading { attempt, waiting, .. } => {
                let attempt = *attempt;
                waiting.retain(|waiter| waiter.request != request);
                if waiting.is_empty() {
                    return self.leave(attempt, UnloadReason::LoadCancelled, Stop::Kill);
                }
                vec![self.announce(from, Cause::RequestEnded, "")]
            }
            State::Busy {
                attempt,
                active,
                leaving,
            } => {
                let attempt = *attempt;
                active.remove(&request);
                if !active.is_empty() {
                    return vec![self.announce(from, Cause::RequestEnded, "")];
                }
                if let Some(reason) = leaving.take() {
                    return self.leave(attempt, reason, Stop::Graceful);
                }
                self.state = State::Loaded {
                    attempt,
                    idle_since: now,
                };
                self.idle_or_leave(attempt, now, from, Cause::RequestEnded)
            }
        }
    }

    fn progress(&mut self, attempt: AttemptId, reached: LoadProgress) -> Vec<Effect> {
        match &mut self.state {
            State::Loading {
                attempt: current,
                progress,
                ..
            } if *current == attempt => {
                *progress = reached;
                vec![self.announce(StateName::Loading, Cause::Progress, "")]
            }
            State::Unloaded { .. }
            | State::Loading { .. }
            | State::Loaded { .. }
            | State::Busy { .. }
            | State::Unloading { .. } => Vec::new(),
        }
    }

    fn load_succeeded(&mut self, attempt: AttemptId, now: Moment) -> Result<Vec<Effect>, IllegalTransition> {
        if self.is_stale(attempt) {
            return Ok(Vec::new());
        }
        match &mut self.state {
            State::Loading { waiting, .. } => {
                let waiting = std::mem::take(waiting);
                let active: BTreeSet<RequestId> = waiting
                    .iter()
                    .filter(|waiter| waiter.purpose == Purpose::Use)
                    .map(|waiter| waiter.request)
                    .collect();
                let grants = waiting.iter().map(|waiter| Effect::Grant {
                    request: waiter.request,
                    attempt,
                });
                if active.is_empty() {
                    self.state = State::Loaded {
                        attempt,
                        idle_since: now,
                    };
                    let after = self.idle_or_leave(attempt, now, StateName::Loading, Cause::Loaded);
                    return Ok(grants.chain(after).collect());
                }
                self.state = busy(attempt, active);
                let announce = self.announce(StateName::Loading, Cause::Loaded, "");
                Ok(std::iter::once(announce).chain(grants).collect())
            }
            // The load was given up; the stop is under way.
            State::Unloading { .. } => Ok(Vec::new()),
            State::Unloaded { .. } | State::Loaded { .. } | State::Busy { .. } => {
                Err(self.illegal("LoadSucceeded"))
            }
        }
    }

    fn load_failed(
        &mut self,
        attempt: AttemptId,
        fault: Fault,
        crashed: bool,
        retry: bool,
        now: Moment,
    ) -> Result<Vec<Effect>, IllegalTransition> {
        if self.is_stale(attempt) {
            return Ok(Vec::new());
        }
        match &mut self.state {
            State::Loading { waiting, .. } => {
                let waiting = std::mem::take(waiting);
                let reason = if crashed {
                    UnloadReason::WorkerCrashed
                } else {
                    UnloadReason::LoadFailed
                };
                let mut effects = self.fell(StateName::Loading, reason, &fault, now);
                if retry {
                    effects.extend(waiting.iter().map(|waiter| Effect::Requeue {
                        request: waiter.request,
                    }));
                } else {
                    effects.extend(refuse_all(&waiting, &fault));
                }
                Ok(effects)
            }
            State::Unloading { .. } => self.stopped(attempt),
            State::Unloaded { .. } | State::Loaded { .. } | State::Busy { .. } => {
                Err(self.illegal("LoadFailed"))
            }
        }
    }

    fn worker_exited(&mut self, attempt: AttemptId, fault: Fault, now: Moment) -> Vec<Effect> {
        if self.is_stale(attempt) {
            return Vec::new();
        }
        let from = self.state.name();
        match &mut self.state {
            State::Unloaded { .. } => Vec::new(),
            State::Loading { waiting, .. } => {
                let waiting = std::mem::take(waiting);
                let mut effects = self.fell(from, UnloadReason::WorkerCrashed, &fault, now);
                effects.extend(refuse_all(&waiting, &fault));
                effects
            }
            State::Loaded { .. } => self.fell(from, UnloadReason::WorkerCrashed, &fault, now),
            State::Busy { active, .. } => {
                let active = std::mem::take(active);
                let mut effects = self.fell(from, UnloadReason::WorkerCrashed, &fault, now);
                effects.extend(active.into_iter().map(|request| Effect::Cancel {
                    request,
                    fault: fault.clone(),
                }));
                effects
            }
            // It was told to go; that it went is what matters.
            State::Unloading { .. } => self.gone(),
        }
    }

    fn stopped(&mut self, attempt: AttemptId) -> Result<Vec<Effect>, IllegalTransition> {
        if self.is_stale(attempt) {
            return Ok(Vec::new());
        }
        match &self.state {
            State::Unloading { .. } => Ok(self.gone()),
            State::Unloaded { .. } | State::Loading { .. } | State::Loaded { .. } | State::Busy { .. } => {
                Err(self.illegal("Stopped"))
            }
        }
    }

    fn tick(&mut self, now: Moment) -> Vec<Effect> {
        let State::Loaded { attempt, .. } = self.state else {
            return Vec::new();
        };
        match self.expires() {
            Some(at) if at <= now => self.leave(attempt, UnloadReason::IdleTimeout, Stop::Graceful),
            later => vec![Effect::WakeAt(later)],
        }
    }

    /// Who waits, and with `force` who is being answered, is told `fault`.
    fn unload(&mut self, force: bool, reason: UnloadReason, fault: &Fault) -> Vec<Effect> {
        match &mut self.state {
            State::Unloaded { .. } | State::Unloading { .. } => Vec::new(),
            State::Loading { attempt, waiting, .. } => {
                let (attempt, waiting) = (*attempt, std::mem::take(waiting));
                let mut effects = self.leave(attempt, reason, Stop::Kill);
                effects.extend(refuse_all(&waiting, fault));
                effects
            }
            State::Loaded { attempt, .. } => {
                let attempt = *attempt;
                self.leave(attempt, reason, Stop::Graceful)
            }
            State::Busy { leaving, .. } if !force => {
                if leaving.is_none() {
                    *leaving = Some(reason);
                }
                Vec::new()
            }
            State::Busy {
                attempt,
                active,
                leaving,
            } => {
                let (attempt, active) = (*attempt, std::mem::take(active));
                let reason = leaving.take().unwrap_or(reason);
                let fault = if reason == UnloadReason::Shutdown {
                    shutting_down()
                } else {
                    fault.clone()
                };
                let mut effects = self.leave(attempt, reason, Stop::Kill);
                let cancels = active.into_iter().map(|request| Effect::Cancel {
                    request,
                    fault: fault.clone(),
                });
                effects.splice(0..0, cancels);
                effects
            }
        }
    }

    fn resume(&mut self) -> Vec<Effect> {
        if let State::Busy { leaving, .. } = &mut self.state
            && *leaving == Some(UnloadReason::Paused)
        {
            *leaving = None;
        }
        Vec::new()
    }

    fn evict(&mut self, reason: UnloadReason) -> Vec<Effect> {
        let State::Loaded { attempt, .. } = self.state else {
            return Vec::new();
        };
        // Somebody waits for the memory, and an idle worker has nothing to finish.
        self.leave(attempt, reason, Stop::Kill)
    }

    fn shutdown(&mut self) -> Vec<Effect> {
        self.closed = true;
        let fault = shutting_down();
        match &mut self.state {
            State::Unloaded { .. } => Vec::new(),
            State::Loading { attempt, waiting, .. } => {
                let (attempt, waiting) = (*attempt, std::mem::take(waiting));
                let mut effects = self.leave(attempt, UnloadReason::Shutdown, Stop::Kill);
                effects.extend(refuse_all(&waiting, &fault));
                effects
            }
            State::Loaded { attempt, .. } => {
                let attempt = *attempt;
                self.leave(attempt, UnloadReason::Shutdown, Stop::Graceful)
            }
            State::Busy { leaving, .. } => {
                *leaving = Some(UnloadReason::Shutdown);
                Vec::new()
            }
            State::Unloading { .. } => Vec::new(),
        }
    }

    /// From UNLOADED to LOADING.
    fn start(&mut self, waiter: Waiter) -> Vec<Effect> {
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        self.state = State::Loading {
            attempt,
            progress: LoadProgress::default(),
            waiting: vec![waiter],
        };
        vec![
            self.announce(StateName::Unloaded, Cause::Request, ""),
            Effect::StartWorker { attempt },
        ]
    }

    /// To UNLOADING.
    fn leave(&mut self, attempt: AttemptId, reason: UnloadReason, stop: Stop) -> Vec<Effect> {
        let from = self.state.name();
        self.state = State::Unloading {
            attempt,
            reason: reason.clone(),
        };
        vec![
            Effect::WakeAt(None),
            self.announce(from, Cause::Unload(reason), ""),
            Effect::StopWorker { attempt, stop },
        ]
    }

    /// Just became LOADED: stay for the keep-alive time, or leave at once if that is zero.
    fn idle_or_leave(
        &mut self,
        attempt: AttemptId,
        now: Moment,
        from: StateName,
        cause: Cause,
    ) -> Vec<Effect> {
        let announce = self.announce(from, cause, "");
        let expires = self.expires();
        if expires.is_some_and(|at| at <= now) {
            let mut effects = vec![announce];
            effects.extend(self.leave(attempt, UnloadReason::IdleTimeout, Stop::Graceful));
            return effects;
        }
        vec![announce, Effect::WakeAt(expires)]
    }

    /// From UNLOADING to UNLOADED.
    fn gone(&mut self) -> Vec<Effect> {
        let State::Unloading { reason, .. } = &self.state else {
            return Vec::new();
        };
        let reason = reason.clone();
        self.state = State::Unloaded {
            last: Some(reason.clone()),
        };
        self.keep_alive = None;
        vec![self.announce(StateName::Unloading, Cause::Unload(reason), "")]
    }

    /// The worker is gone without having been asked: to UNLOADED.
    fn fell(&mut self, from: StateName, reason: UnloadReason, fault: &Fault, now: Moment) -> Vec<Effect> {
        self.state = State::Unloaded {
            last: Some(reason.clone()),
        };
        self.keep_alive = None;
        let opened = reason == UnloadReason::WorkerCrashed && self.breaker.crashed(now);
        let message = if opened {
            let wait = CrashBreaker::COOL_DOWN.as_secs();
            format!(
                "{fault}; it crashed {} times, so it is not started again for {wait} s",
                CrashBreaker::LIMIT
            )
        } else {
            fault.message.clone()
        };
        vec![
            Effect::WakeAt(None),
            self.announce(from, Cause::Unload(reason), &message),
        ]
    }

    fn announce(&self, from: StateName, cause: Cause, message: &str) -> Effect {
        Effect::Announce {
            from,
            to: self.state.name(),
            cause,
            message: message.to_owned(),
        }
    }

    fn knows(&self, request: RequestId) -> bool {
        let active = match &self.state {
            State::Busy { active, .. } => active.contains(&request),
            State::Unloaded { .. }
            | State::Loading { .. }
            | State::Loaded { .. }
            | State::Unloading { .. } => false,
        };
        active
            || self
                .state
                .waiting()
                .iter()
                .any(|waiter| waiter.request == request)
    }

    fn is_stale(&self, attempt: AttemptId) -> bool {
        self.state.attempt() != Some(attempt)
    }

    const fn illegal(&self, event: &'static str) -> IllegalTransition {
        IllegalTransition {
            state: self.state.name(),
            event,
        }
    }
}

fn busy(attempt: AttemptId, active: BTreeSet<RequestId>) -> State {
    State::Busy {
        attempt,
        active,
        leaving: None,
    }
}
