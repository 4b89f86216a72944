//! The one owner of every model's life-cycle.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::event::Event as Announcement;
use airunner_core::lifecycle::{AttemptId, Cause, Effect, Event, Limits, Purpose, RequestId, StateName};
use airunner_core::{ErrorKind, Fault, KeepAlive, ModelName, Moment};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::acquire::Grant;
use super::entry::{Entry, Request, Worker};
use super::hub::{Hub, Publisher, hub};
use super::store::Installed;
use crate::workers::{Launcher, News, Order, Report, Reports};

/// Messages that may wait for the actor.
const CAPACITY: usize = 256;

/// What others want of the models.
pub(super) enum Message {
    Acquire {
        name: ModelName,
        purpose: Purpose,
        keep_alive: Option<KeepAlive>,
        reply: oneshot::Sender<Result<Grant, Fault>>,
        /// Resolves when the caller is gone, at whatever stage.
        gone: oneshot::Receiver<std::convert::Infallible>,
    },
    /// Answers when the worker is gone: true if there was one.
    Unload {
        name: ModelName,
        force: bool,
        reply: oneshot::Sender<Result<bool, Fault>>,
    },
    /// A package was put into the store.
    Install {
        installed: Installed,
        reply: oneshot::Sender<()>,
    },
    /// Takes a model that is not in use out of the list, for its deletion.
    Forget {
        name: ModelName,
        reply: oneshot::Sender<Result<Installed, Fault>>,
    },
    /// No load from now on; answers when no worker is left.
    Shutdown {
        grace: Duration,
        reply: oneshot::Sender<()>,
    },
    /// Answers when everything that happened before has been dealt with.
    Settle { reply: oneshot::Sender<()> },
    /// Ends all workers now.
    Abandon,
    /// Ends the actor and, with it, every watch.
    End,
}

/// Runs until it is told to end, or every handle is gone.
pub struct Actor {
    entries: BTreeMap<ModelName, Entry>,
    limits: Limits,
    launcher: Arc<dyn Launcher>,
    publisher: Publisher,
    messages: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
    report_sender: mpsc::Sender<Report>,
    gone: FuturesUnordered<BoxFuture<'static, (ModelName, RequestId)>>,
    started: Instant,
    requests: u64,
    ended: Vec<oneshot::Sender<()>>,
    closed: bool,
}

impl Actor {
    /// The actor, and the two ways to it.
    pub(super) fn new(
        installed: Vec<Installed>,
        limits: Limits,
        launcher: Arc<dyn Launcher>,
    ) -> (Self, mpsc::Sender<Message>, Hub) {
        let entries: BTreeMap<ModelName, Entry> = installed
            .into_iter()
            .map(|installed| (installed.name.clone(), Entry::new(installed, limits)))
            .collect();
        let models = entries
            .iter()
            .map(|(name, entry)| (name.clone(), entry.model(Moment::default())));
        let (publisher, hub) = hub(models.collect());
        let (sender, messages) = mpsc::channel(CAPACITY);
        let (report_sender, reports) = mpsc::channel(CAPACITY);
        let actor = Self {
            entries,
            limits,
            launcher,
            publisher,
            messages,
            reports,
            report_sender,
            gone: FuturesUnordered::new(),
            started: Instant::now(),
            requests: 0,
            ended: Vec::new(),
            closed: false,
        };
        (actor, sender, hub)
    }

    pub async fn run(mut self) {
        loop {
            let wake = self.next_wake();
            tokio::select! {
                // Who has left has left before anything that is asked afterwards.
                biased;
                Some((name, request)) = self.gone.next() => self.left(&name, request),
                Some(report) = self.reports.recv() => self.reported(report),
                message = self.messages.recv() => match message {
                    Some(Message::End) | None => return,
                    Some(message) => self.handle(message),
                },
                () = sleep_until(wake), if wake.is_some() => self.tick(),
            }
            self.tell_if_ended();
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Acquire {
                name,
                purpose,
                keep_alive,
                reply,
                gone,
            } => {
                self.acquire(name, purpose, keep_alive, reply, gone);
            }
            Message::Unload { name, force, reply } => self.unload(&name, force, reply),
            Message::Install { installed, reply } => {
                self.install(installed);
                let _ = reply.send(());
            }
            Message::Forget { name, reply } => drop(reply.send(self.forget(&name))),
            Message::Shutdown { grace, reply } => self.shutdown(grace, reply),
            Message::Settle { reply } => {
                let _ = reply.send(());
            }
            Message::Abandon => self.step_all(&Event::Unload { force: true }),
            Message::End => {}
        }
    }

    fn acquire(
        &mut self,
        name: ModelName,
        purpose: Purpose,
        keep_alive: Option<KeepAlive>,
        reply: oneshot::Sender<Result<Grant, Fault>>,
        gone: oneshot::Receiver<std::convert::Infallible>,
    ) {
        let Some(entry) = self.entries.get_mut(&name) else {
            drop(reply.send(Err(not_found(&name))));
            return;
        };
        self.requests += 1;
        let request = RequestId(self.requests);
        entry.requests.insert(request, Request::Waiting(reply));
        let caller = name.clone();
        self.gone.push(Box::pin(async move {
            drop(gone.await);
            (caller, request)
        }));
        self.step(
            &name,
            Event::Acquire {
                request,
                purpose,
                keep_alive,
            },
        );
    }

    /// A caller is gone: it has finished, or has given up.
    fn left(&mut self, name: &ModelName, request: RequestId) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.requests.remove(&request);
            self.step(name, Event::Release { request });
        }
    }

    fn unload(&mut self, name: &ModelName, force: bool, reply: oneshot::Sender<Result<bool, Fault>>) {
        let Some(entry) = self.entries.get_mut(name) else {
            drop(reply.send(Err(not_found(name))));
            return;
        };
        if entry.machine.state().name() == StateName::Unloaded {
            drop(reply.send(Ok(false)));
            return;
        }
        entry.unloads.push(reply);
        self.step(name, Event::Unload { force });
    }

    fn install(&mut self, installed: Installed) {
        let name = installed.name.clone();
        let entry = Entry::new(installed, self.limits);
        let model = Box::new(entry.model(self.now()));
        tracing::info!(model = %name, bytes = model.size_bytes, "model installed");
        self.entries.insert(name, entry);
        let event = Announcement::ModelChanged {
            model,
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
        let entry = self.entries.remove(name).ok_or_else(|| not_found(name))?;
        tracing::info!(model = %name, "model removed");
        self.publisher.publish(Announcement::ModelRemoved(name.clone()));
        Ok(entry.installed)
    }

    fn shutdown(&mut self, grace: Duration, reply: oneshot::Sender<()>) {
        self.ended.push(reply);
        if !self.closed {
            self.closed = true;
            self.publisher.publish(Announcement::ShuttingDown { grace });
            self.step_all(&Event::Shutdown);
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

    fn reported(
        &mut self,
        Report {
            model: name,
            attempt,
            news,
        }: Report,
    ) {
        let Some(entry) = self.entries.get_mut(&name) else {
            return;
        };
        let Some(worker) = entry.worker(attempt) else {
            tracing::debug!(model = %name, %attempt, "a report of an earlier worker is dropped");
            return;
        };
        match news {
            News::Started { pid } => {
                worker.pid = pid;
                self.refresh(&name);
            }
            News::Memory(bytes) => {
                worker.memory = bytes;
                self.refresh(&name);
            }
            News::Progress(progress) => self.step(&name, Event::Progress { attempt, progress }),
            News::Loaded { loaded, llm } => {
                worker.loaded = Some((loaded, llm));
                self.step(&name, Event::LoadSucceeded { attempt });
            }
            News::LoadFailed { fault, crashed } => {
                entry.worker = None;
                self.step(
                    &name,
                    Event::LoadFailed {
                        attempt,
                        fault,
                        crashed,
                    },
                );
            }
            News::Exited(fault) => {
                entry.worker = None;
                self.step(&name, Event::WorkerExited { attempt, fault });
            }
            News::Stopped => {
                entry.worker = None;
                self.step(&name, Event::Stopped { attempt });
            }
        }
    }

    fn refresh(&self, name: &ModelName) {
        if let Some(entry) = self.entries.get(name) {
            self.publisher.refresh(entry.model(self.now()));
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

    fn step_all(&mut self, event: &Event) {
        let names: Vec<ModelName> = self.entries.keys().cloned().collect();
        for name in names {
            self.step(&name, event.clone());
        }
    }

    /// Tells a machine what happened and does what it says.
    fn step(&mut self, name: &ModelName, event: Event) {
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
            } => self.announce(name, from, to, cause, message, now),
            Effect::StartWorker { attempt } => {
                let worker = self.start_worker(name, attempt);
                if let Some(entry) = self.entries.get_mut(name) {
                    entry.worker = worker;
                }
            }
            Effect::StopWorker { attempt, stop } => {
                if let Some(handle) = entry.worker(attempt).and_then(|worker| worker.handle.take()) {
                    handle.stop(stop);
                }
            }
            Effect::Grant { request, attempt } => grant(entry, request, attempt),
            Effect::Refuse { request, fault } => {
                if let Some(Request::Waiting(reply)) = entry.requests.remove(&request) {
                    drop(reply.send(Err(fault)));
                }
            }
            Effect::Cancel { request, fault } => {
                if let Some(Request::Active(cancel)) = entry.requests.remove(&request) {
                    drop(cancel.send(fault));
                }
            }
            Effect::WakeAt(moment) => entry.wake = moment,
        }
    }

    fn announce(
        &mut self,
        name: &ModelName,
        from: StateName,
        to: StateName,
        cause: Cause,
        message: String,
        now: Moment,
    ) {
        let Some(entry) = self.entries.get_mut(name) else {
            return;
        };
        if let (StateName::Unloaded, Cause::Unload(reason)) = (to, cause) {
            entry.last_unload = Some(reason);
            for reply in entry.unloads.drain(..) {
                drop(reply.send(Ok(true)));
            }
        }
        if from == to {
            tracing::debug!(model = %name, state = %to, reason = %cause, "model changed");
        } else {
            let detail = (!message.is_empty()).then_some(&message);
            tracing::info!(model = %name, %from, %to, reason = %cause, detail, "model changed state");
        }
        // An effect speaks of the moment it was decided; a later one of the same step may have
        // moved on, and what clients are told must fit together.
        let mut model = Box::new(entry.model(now));
        model.state = to;
        if to == StateName::Unloaded {
            model.instance = None;
        }
        self.publisher.publish(Announcement::ModelChanged {
            model,
            from,
            cause,
            message,
        });
    }

    fn start_worker(&self, name: &ModelName, attempt: AttemptId) -> Option<Worker> {
        let entry = self.entries.get(name)?;
        let order = Order {
            model: name.clone(),
            attempt,
            directory: entry.installed.directory.clone(),
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
            loaded: None,
        })
    }

    fn now(&self) -> Moment {
        Moment::since_start(self.started.elapsed())
    }

    fn next_wake(&self) -> Option<Instant> {
        let soonest = self.entries.values().filter_map(|entry| entry.wake).min()?;
        Some(self.started + soonest.elapsed_since_start())
    }
}

fn grant(entry: &mut Entry, request: RequestId, attempt: AttemptId) {
    let llm = entry
        .worker(attempt)
        .and_then(|worker| worker.loaded.as_ref())
        .map(|(_, llm)| Arc::clone(llm));
    let Some(Request::Waiting(reply)) = entry.requests.remove(&request) else {
        return;
    };
    let Some(llm) = llm else {
        drop(reply.send(Err(Fault::internal("a model was granted without a worker"))));
        return;
    };
    let (cancel, cancelled) = oneshot::channel();
    entry.requests.insert(request, Request::Active(cancel));
    // A caller that has left meanwhile shows by its presence being gone.
    drop(reply.send(Ok(Grant { llm, cancelled })));
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
