//! The one owner of every model's life-cycle, and of the memory they share.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use airunner_core::event::Event as Announcement;
use airunner_core::generate::ClientId;
use airunner_core::lifecycle::{
    AttemptId, Cause, Event, Limits, Purpose, RequestId, StateName, UnloadReason,
};
use airunner_core::memory::{Budget, MemoryBreakdown};
use airunner_core::pause::Pause;
use airunner_core::residency::{DeviceFacts, PackageFacts, Policy, ReservationId, Residency, Wishes};
use airunner_core::{ErrorKind, Fault, ModelName, Moment, Priority};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::caller::{Caller, Waiting, Want};
use super::entry::Entry;
use super::knowledge::Knowledge;
use super::message::{Gone, Message};
use super::store::Installed;
use super::waiting::Question;
use crate::events::Publisher;
use crate::workers::{Launcher, Report};

/// Messages that may wait for the actor.
const CAPACITY: usize = 256;

/// Something the actor waits for beside messages and reports.
pub(super) enum Happened {
    /// A caller is gone: it has finished, or has given up.
    Left(RequestId),
    /// A client's reservation is over.
    Released(ReservationId),
    /// A package was looked at, as it was installed then.
    Facts {
        name: ModelName,
        installation: u64,
        facts: Result<PackageFacts, Fault>,
    },
    /// A model has given back what it could.
    Trimmed(ModelName, Result<(), Fault>),
    /// A worker was told how many threads it may use.
    Told {
        name: ModelName,
        attempt: AttemptId,
        threads: Result<u32, Fault>,
    },
}

/// What the actor is made of.
pub struct Parts {
    pub limits: Limits,
    pub policy: Policy,
    /// In order of preference.
    pub devices: Vec<DeviceFacts>,
    /// Of a GPU that shows up later.
    pub gpu_budget: Budget,
    /// Models that stay longest when memory is needed.
    pub favourites: Vec<ModelName>,
    /// What one model computes with while no other does.
    pub threads: u32,
    /// A pause that was in force when the daemon ended.
    pub paused: Option<Pause>,
    pub launcher: Arc<dyn Launcher>,
    pub knowledge: Arc<dyn Knowledge>,
    pub publisher: Publisher,
}

/// Runs until it is told to end, or every handle is gone.
pub struct Actor {
    pub(super) entries: BTreeMap<ModelName, Entry>,
    pub(super) residency: Residency,
    pub(super) callers: HashMap<RequestId, Caller>,
    pub(super) limits: Limits,
    pub(super) favourites: Vec<ModelName>,
    pub(super) threads: u32,
    pub(super) launcher: Arc<dyn Launcher>,
    pub(super) knowledge: Arc<dyn Knowledge>,
    pub(super) publisher: Publisher,
    messages: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
    pub(super) report_sender: mpsc::Sender<Report>,
    pub(super) happens: FuturesUnordered<BoxFuture<'static, Happened>>,
    /// Those who wait for an answer until the files have been looked at.
    pub(super) questions: Vec<Question>,
    /// Packages that are being looked at, as they were installed then.
    pub(super) looks: BTreeMap<ModelName, u64>,
    installations: u64,
    pub(super) gpu_budget: Budget,
    /// Models that were pinned or let go, and nobody was told yet.
    pub(super) pinned: Vec<ModelName>,
    /// Processes of all workers.
    pub(super) pids: watch::Sender<Vec<u32>>,
    started: Instant,
    requests: u64,
    pub(super) reservations: u64,
    /// When to decide again although nothing happens.
    pub(super) decide_at: Option<Moment>,
    /// When the devices were asked last.
    pub(super) read_at: Option<Moment>,
    /// What everybody was told last of the memory.
    pub(super) told_memory: Vec<MemoryBreakdown>,
    pub(super) paused: Option<Pause>,
    ended: Vec<oneshot::Sender<()>>,
    closed: bool,
    _end_watches: DropGuard,
}

impl Actor {
    /// The actor, and the ways to it.
    pub(super) fn new(
        installed: Vec<Installed>,
        parts: Parts,
    ) -> (Self, mpsc::Sender<Message>, watch::Receiver<Vec<u32>>) {
        let (sender, messages) = mpsc::channel(CAPACITY);
        let (report_sender, reports) = mpsc::channel(CAPACITY);
        let (pids, known_pids) = watch::channel(Vec::new());
        let mut residency = Residency::new(parts.policy);
        for device in parts.devices {
            residency.set_device(device);
        }
        let mut actor = Self {
            entries: BTreeMap::new(),
            residency,
            callers: HashMap::new(),
            limits: parts.limits,
            favourites: parts.favourites,
            threads: parts.threads,
            launcher: parts.launcher,
            knowledge: parts.knowledge,
            _end_watches: parts.publisher.end_guard(),
            publisher: parts.publisher,
            messages,
            reports,
            report_sender,
            happens: FuturesUnordered::new(),
            questions: Vec::new(),
            looks: BTreeMap::new(),
            installations: 0,
            gpu_budget: parts.gpu_budget,
            pinned: Vec::new(),
            pids,
            started: Instant::now(),
            requests: 0,
            reservations: 0,
            decide_at: None,
            read_at: None,
            told_memory: Vec::new(),
            paused: None,
            ended: Vec::new(),
            closed: false,
        };
        for installed in installed {
            actor.add(installed);
        }
        actor.told_memory = actor.residency.breakdown();
        actor.publisher.refresh_memory(actor.told_memory.clone());
        if let Some(pause) = parts.paused {
            actor.set_pause(Some(pause));
        }
        (actor, sender, known_pids)
    }

    pub async fn run(mut self) {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                // Who has left has left before anything that is asked afterwards.
                biased;
                Some(happened) = self.happens.next() => self.happened(happened),
                Some(report) = self.reports.recv() => self.reported(report),
                message = self.messages.recv() => match message {
                    Some(Message::End) | None => return,
                    Some(message) => self.handle(message),
                },
                () = sleep_until(wake), if wake.is_some() => self.tick(),
            }
            self.settle();
            self.share_threads();
            self.tell_if_ended();
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Acquire {
                want,
                reply,
                place,
                gone,
            } => self.acquire(want, reply, place, gone),
            Message::Renew {
                name,
                pid,
                reply,
                place,
                gone,
            } => match self.renewal(&name, pid) {
                Ok(want) => {
                    self.acquire(want, reply, place, gone);
                    let reason = UnloadReason::Reloaded;
                    self.step(&name, Event::Evict { reason });
                }
                Err(fault) => drop(reply.send(Err(fault))),
            },
            Message::Unload { name, force, reply } => self.unload(&name, force, reply),
            Message::Install { installed, reply } => {
                self.install(installed);
                let _ = reply.send(());
            }
            Message::Forget { name, reply } => drop(reply.send(self.forget(&name))),
            Message::Find { name, reply } => {
                let entry = self.entries.get(&name).ok_or_else(|| not_found(&name));
                drop(reply.send(entry.map(|entry| entry.installed.clone())));
            }
            Message::Estimate { request, reply } => self.estimate(request, reply),
            Message::CanPerform { request, reply } => self.can_perform(request, reply),
            Message::Budget { change, reply } => drop(reply.send(self.set_budget(change))),
            Message::Adjust { adjustment, reply } => {
                self.adjust(adjustment);
                // Whoever asked may have left.
                let _ = reply.send(());
            }
            Message::Readings(readings) => self.readings(readings),
            Message::Pressure {
                device,
                shortage_bytes,
            } => self.pressure(device, shortage_bytes),
            Message::Free { pinned, reply } => drop(reply.send(self.free(pinned))),
            Message::Reserve {
                device,
                bytes,
                evict,
                gone,
                reply,
            } => drop(reply.send(self.reserve(device, bytes, evict, gone))),
            Message::Resize {
                id,
                device,
                bytes,
                reply,
            } => drop(reply.send(self.resize_reserved(id, device, bytes))),
            Message::Ceilings { reply } => drop(reply.send(self.ceilings())),
            Message::Pause { pause, force, reply } => drop(reply.send(self.pause(pause, force))),
            Message::Resume { reply } => drop(reply.send(self.resume())),
            Message::Shutdown { grace, reply } => self.shutdown(grace, reply),
            Message::Settle { reply } => {
                let _ = reply.send(());
            }
            Message::Abandon => self.step_all(&Event::Unload { force: true }),
            Message::End => {}
        }
    }

    fn happened(&mut self, happened: Happened) {
        match happened {
            Happened::Left(request) => self.left(request),
            Happened::Released(id) => {
                self.residency.release(id);
                self.publish_memory();
            }
            Happened::Facts {
                name,
                installation,
                facts,
            } => self.looked_at(&name, installation, facts),
            Happened::Told {
                name,
                attempt,
                threads,
            } => self.told_threads(&name, attempt, threads),
            Happened::Trimmed(name, outcome) => match outcome {
                Ok(()) => tracing::info!(model = %name, "caches were given back"),
                Err(fault) => tracing::debug!(model = %name, %fault, "caches could not be given back"),
            },
        }
    }

    fn acquire(
        &mut self,
        want: Want,
        reply: oneshot::Sender<Result<super::acquire::Grant, Fault>>,
        place: watch::Sender<airunner_core::model::Queued>,
        gone: Gone,
    ) {
        let name = want.name.clone();
        let now = self.now();
        let refusal = match self.entries.get(&name) {
            None => Some(not_found(&name)),
            Some(entry) => entry.machine.refusal(now).or_else(|| self.pause_refusal()),
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        let demand = want.demand(request, now);
        let asked = match refusal {
            Some(fault) => Err(fault),
            None => self.residency.ask(demand.clone()),
        };
        if let Err(fault) = asked {
            drop(reply.send(Err(fault)));
            return;
        }
        let waiting = Waiting {
            want,
            demand,
            reply,
            place,
        };
        self.callers.insert(request, Caller::Waiting(waiting));
        self.happens.push(Box::pin(async move {
            drop(gone.await);
            Happened::Left(request)
        }));
    }

    /// How a model is wanted that is to be loaded anew as it is.
    fn renewal(&self, name: &ModelName, pid: u32) -> Result<Want, Fault> {
        let entry = self.entries.get(name).ok_or_else(|| not_found(name))?;
        let in_use = || Fault::new(ErrorKind::Busy, format!("{name} is in use, wanted or gone"));
        let is_same = entry.worker.as_ref().is_some_and(|worker| worker.pid == pid);
        let is_idle = entry.machine.state().name() == StateName::Loaded;
        let option = self.residency.holding(name).ok_or_else(in_use)?;
        if self.closed || !is_same || !is_idle || !self.residency.wanted().is_empty() {
            return Err(in_use());
        }
        let pinned = self.residency.is_pinned(name);
        Ok(Want {
            name: name.clone(),
            purpose: Purpose::Load,
            keep_alive: entry.machine.keep_alive(),
            client: ClientId::default(),
            priority: Priority::Background,
            max_wait: None,
            wishes: Wishes {
                level: Some(option.level),
                context_length: Some(option.context_length),
            },
            pinned: pinned.then_some(true),
            // What is pinned has to come back; anything else may as well be gone.
            may_evict: pinned,
            why: entry.loaded_for,
        })
    }

    fn left(&mut self, request: RequestId) {
        let Some(caller) = self.callers.remove(&request) else {
            return;
        };
        let name = caller.model().clone();
        if let Caller::Active {
            since,
            purpose: Purpose::Use,
            ..
        } = caller
        {
            let took = self.now().since(since);
            self.residency.answered_in(&name, took);
        }
        self.residency.leave(request);
        self.step(&name, Event::Release { request });
    }

    fn unload(&mut self, name: &ModelName, force: bool, reply: oneshot::Sender<Result<bool, Fault>>) {
        if !self.entries.contains_key(name) {
            drop(reply.send(Err(not_found(name))));
            return;
        }
        for request in self.residency.dismiss(name) {
            self.refuse(request, unloaded_meanwhile(name));
        }
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if entry.machine.state().name() == StateName::Unloaded {
            drop(reply.send(Ok(false)));
            return;
        }
        entry.unloads.push(reply);
        self.step(name, Event::Unload { force });
    }

    fn add(&mut self, installed: Installed) {
        let name = installed.name.clone();
        self.residency.add(name.clone(), self.rank(&name));
        self.installations += 1;
        let entry = Entry::new(installed, self.limits, self.installations);
        self.entries.insert(name.clone(), entry);
        self.refresh(&name);
    }

    fn install(&mut self, installed: Installed) {
        let name = installed.name.clone();
        self.add(installed);
        let Some(model) = self.model(&name) else {
            return;
        };
        tracing::info!(model = %name, bytes = model.size_bytes, "model installed");
        let event = Announcement::ModelChanged {
            model: Box::new(model),
            from: StateName::Unloaded,
            cause: Cause::Installed,
            message: String::new(),
        };
        self.publisher.publish(event);
    }

    fn forget(&mut self, name: &ModelName) -> Result<Installed, Fault> {
        if name.is_builtin() {
            let message = format!("{name} ships with the program and cannot be removed");
            return Err(Fault::new(ErrorKind::PermissionDenied, message));
        }
        let entry = self.entries.get(name).ok_or_else(|| not_found(name))?;
        let state = entry.machine.state().name();
        if state != StateName::Unloaded {
            let message = format!("{name} is {state}: unload it first with \"airunner unload {name}\"");
            return Err(Fault::new(ErrorKind::Busy, message));
        }
        for request in self.residency.dismiss(name) {
            self.refuse(request, not_found(name));
        }
        let entry = self.entries.remove(name).ok_or_else(|| not_found(name))?;
        self.residency.remove(name);
        self.knowledge.removed(name);
        tracing::info!(model = %name, "model removed");
        self.publisher.publish(Announcement::ModelRemoved(name.clone()));
        Ok(entry.installed)
    }

    fn shutdown(&mut self, grace: std::time::Duration, reply: oneshot::Sender<()>) {
        self.ended.push(reply);
        if !self.closed {
            self.closed = true;
            self.publisher.publish(Announcement::ShuttingDown { grace });
            self.step_all(&Event::Shutdown);
            for request in self.residency.close() {
                self.refuse(request, shutting_down());
            }
        }
    }

    fn tell_if_ended(&mut self) {
        let idle = |entry: &Entry| entry.machine.state().name() == StateName::Unloaded;
        if !self.ended.is_empty() && self.entries.values().all(idle) {
            for reply in self.ended.drain(..) {
                let _ = reply.send(());
            }
        }
    }

    fn tick(&mut self) {
        let now = self.now();
        let due = |entry: &Entry| entry.wake.is_some_and(|at| at <= now);
        let names: Vec<ModelName> = self
            .entries
            .iter()
            .filter(|(_, entry)| due(entry))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.step(&name, Event::Tick);
        }
    }

    pub(super) fn step_all(&mut self, event: &Event) {
        let names: Vec<ModelName> = self.entries.keys().cloned().collect();
        for name in names {
            self.step(&name, event.clone());
        }
    }

    pub(super) fn now(&self) -> Moment {
        Moment::since_start(self.started.elapsed())
    }

    fn next_wake(&self) -> Option<Instant> {
        let wakes = self.entries.values().filter_map(|entry| entry.wake);
        let soonest = wakes.chain(self.decide_at).min()?;
        Some(self.started + soonest.elapsed_since_start())
    }

    /// What a caller wants a granted model for.
    pub(super) fn purpose(&self, request: RequestId) -> Option<(Purpose, &Want)> {
        match self.callers.get(&request)? {
            Caller::Waiting(waiting) => Some((waiting.want.purpose, &waiting.want)),
            Caller::Active { .. } => None,
        }
    }
}

async fn sleep_until(wake: Option<Instant>) {
    if let Some(wake) = wake {
        tokio::time::sleep_until(wake).await;
    }
}

pub(super) fn not_found(name: &ModelName) -> Fault {
    Fault::new(
        ErrorKind::ModelNotFound,
        format!("no model is called {name}: \"airunner models\" lists what is installed"),
    )
}

fn shutting_down() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down: try again once it runs",
    )
}

fn unloaded_meanwhile(name: &ModelName) -> Fault {
    Fault::new(
        ErrorKind::Cancelled,
        format!("{name} was unloaded on request while this waited for it"),
    )
}
