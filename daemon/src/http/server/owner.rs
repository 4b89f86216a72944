//! The owner of the doors: opens what the settings ask for, and changes it while it runs.
//!
//! A change has two steps. First everything is made ready that can be refused: addresses are taken
//! and certificates read, and nobody notices. Then it counts, or is given up again. What was served
//! before is served on until then, and requests that are being answered are not cut.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::access::{AuditEvent, KeyState};
use airunner_core::event::Event;
use airunner_core::status::HttpStatus;
use airunner_core::{ErrorKind, Fault};
use axum::Extension;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::bind::{self, Wanted};
use super::candidate::{Candidate, Step};
use super::connection::Terms;
use super::door::{Door, Inside, Released, Seal, Service, Shut};
use super::rooms::Rooms;
use super::tls::Encryption;
use super::{Setting, Upgraded};
use crate::config::{Auth, HttpSettings};
use crate::events::Publisher;
use crate::http::api::Api;
use crate::http::guard::{Guard, Guarding};
use crate::http::router::router;

type Reply = oneshot::Sender<Result<(), Fault>>;

pub(super) enum Message {
    Prepare(Box<HttpSettings>, Reply),
    Serve(Reply),
    Abandon(Reply),
    Complain(String, Reply),
}

/// See the module.
pub(in crate::http) struct Owner {
    api: Api,
    data: PathBuf,
    publisher: Publisher,
    messages: mpsc::Receiver<Message>,
    service: Service,
    rooms: watch::Sender<Arc<Rooms>>,
    guarding: Guarding,
    upgraded: Upgraded,
    /// What it goes by.
    settings: HttpSettings,
    doors: Vec<Door>,
    candidate: Option<Candidate>,
    /// Those who came by doors that are gone.
    leaving: JoinSet<()>,
    /// What is not as the settings say.
    problem: Option<String>,
    told: HttpStatus,
}

impl Owner {
    /// With every door shut.
    pub(super) fn new(
        setting: &Setting<'_>,
        api: Api,
        publisher: Publisher,
        messages: mpsc::Receiver<Message>,
    ) -> Self {
        let settings = HttpSettings {
            listen: None,
            ..setting.settings.clone()
        };
        let (guard, guarding) = Guard::new(&settings, Vec::new(), api.keys.clone());
        let upgraded = Upgraded::default();
        let rooms = Rooms::new(settings.connections, api.usage.metrics().clone());
        let (rooms, rooms_now) = watch::channel(Arc::new(rooms));
        let terms = Terms {
            router: router(api.clone(), guard).layer(Extension(upgraded.clone())),
            reader_timeout: setting.reader_timeout,
        };
        Self {
            api,
            data: setting.data.to_path_buf(),
            publisher,
            messages,
            service: Service {
                terms,
                rooms: rooms_now,
            },
            rooms,
            guarding,
            upgraded,
            settings,
            doors: Vec::new(),
            candidate: None,
            leaving: JoinSet::new(),
            problem: None,
            told: HttpStatus::default(),
        }
    }

    /// Without the HTTP API everything else still works, so what prevents it is told and not fatal.
    pub(super) async fn begin(&mut self, settings: &HttpSettings) {
        match self.prepare(settings.clone()).await {
            Ok(()) => self.serve().await,
            Err(fault) => {
                tracing::error!(reason = %fault.kind, "the HTTP API is not served: {fault}");
                self.complain(fault.message);
            }
        }
    }

    /// Until the end is asked for; then it accepts nobody, and returns when every request that
    /// was open has been answered and every WebSocket was taken leave of.
    pub(in crate::http) async fn run(mut self) {
        let ending = self.api.ending.clone();
        loop {
            tokio::select! {
                () = ending.asked() => break,
                Some(message) = self.messages.recv() => self.handle(message).await,
                Some(_) = self.leaving.join_next() => {}
            }
        }
        // Who waits for a change hears that there is none any more.
        self.messages.close();
        while self.messages.try_recv().is_ok() {}
        for door in std::mem::take(&mut self.doors) {
            if let Some(shut) = door.shut().await {
                let released = shut.release(&self.service);
                self.leaving.spawn(released.inside.end());
            }
        }
        while self.leaving.join_next().await.is_some() {}
        self.upgraded.gone().await;
    }

    async fn handle(&mut self, message: Message) {
        let (result, reply) = match message {
            Message::Prepare(settings, reply) => (self.prepare(*settings).await, reply),
            Message::Serve(reply) => {
                self.serve().await;
                (Ok(()), reply)
            }
            Message::Abandon(reply) => {
                self.abandon().await;
                (Ok(()), reply)
            }
            Message::Complain(problem, reply) => {
                self.complain(problem);
                (Ok(()), reply)
            }
        };
        // Whoever asked may be gone.
        drop(reply.send(result));
    }

    /// Makes ready what these ask for. What is refused changes nothing.
    async fn prepare(&mut self, settings: HttpSettings) -> Result<(), Fault> {
        if self
            .candidate
            .as_ref()
            .is_some_and(|next| next.settings == settings)
        {
            return Ok(());
        }
        self.abandon().await;
        let is_settled = self.problem.is_none() && bind::wanted(&self.settings) == bind::wanted(&settings);
        let mut candidate = Candidate::new(settings);
        if is_settled {
            candidate.steps = self
                .doors
                .iter()
                .map(|door| Step::Keep(door.wanted.clone()))
                .collect();
        } else if let Err(fault) = self.make_ready(&mut candidate).await {
            self.take_back(candidate).await;
            return Err(fault);
        }
        self.candidate = Some(candidate);
        Ok(())
    }

    async fn make_ready(&mut self, candidate: &mut Candidate) -> Result<(), Fault> {
        for wanted in candidate.wanted.clone() {
            match self.step(candidate, wanted.clone()).await {
                Ok(step) => candidate.steps.push(step),
                Err(fault) if wanted.optional => {
                    tracing::warn!(reason = %fault.kind, "clients of Ollama are not served: {fault}");
                }
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    async fn step(&mut self, candidate: &mut Candidate, wanted: Wanted) -> Result<Step, Fault> {
        let there = self.doors.iter().find(|door| door.is_at(wanted.address));
        let is_there = there.is_some();
        if there.is_some_and(|door| door.wanted.encryption == wanted.encryption) {
            return Ok(Step::Keep(wanted));
        }
        self.refuse_unsafe(&candidate.settings, wanted.address)?;
        if is_there {
            let seal = self.seal(&wanted).await?;
            return Ok(Step::Reseal(wanted, seal));
        }
        let mut shut = match Shut::bind(wanted.clone()).await {
            // One of our own may be in the way, such as 127.0.0.1 in that of 0.0.0.0.
            Err(error) if error.is_taken() && self.make_way(candidate, &wanted).await => {
                Shut::bind(wanted).await?
            }
            bound => bound?,
        };
        // Last: a certificate of our own may have to be made for it.
        shut.seal = self.seal(&shut.wanted).await?;
        Ok(Step::Open(shut))
    }

    /// Lets go of doors on the same port that are not wanted any more. False if there is none.
    async fn make_way(&mut self, candidate: &mut Candidate, wanted: &Wanted) -> bool {
        let (in_the_way, rest): (Vec<Door>, Vec<Door>) =
            std::mem::take(&mut self.doors).into_iter().partition(|door| {
                let stays = candidate.wanted.iter().any(|other| door.is_at(other.address));
                door.address.port() == wanted.address.port() && !stays
            });
        self.doors = rest;
        let found = !in_the_way.is_empty();
        for door in in_the_way {
            if let Some(shut) = door.shut().await {
                candidate.released.push(shut.release(&self.service));
            }
        }
        found
    }

    fn refuse_unsafe(&self, settings: &HttpSettings, address: SocketAddr) -> Result<(), Fault> {
        let has_keys = has_keys(&self.api);
        let Some(objection) = bind::objection(address, settings, has_keys) else {
            return Ok(());
        };
        let lacks = if has_keys { "no TLS" } else { "no key" };
        let place = Some(address.to_string());
        self.api.keys.note(AuditEvent::BindRefused, None, place, lacks);
        Err(Fault::new(ErrorKind::PermissionDenied, objection))
    }

    async fn seal(&self, wanted: &Wanted) -> Result<Seal, Fault> {
        let (encryption, data) = (wanted.encryption.clone(), self.data.clone());
        let open = move || Encryption::new(&encryption, &data);
        let opened = tokio::task::spawn_blocking(open).await;
        let opened =
            opened.map_err(|error| Fault::internal(format!("reading the certificate failed: {error}")))??;
        Ok(opened.map(Encryption::keep))
    }

    /// What is ready counts from here on.
    async fn serve(&mut self) {
        let Some(candidate) = self.candidate.take() else {
            return;
        };
        let Candidate {
            settings,
            steps,
            released,
            ..
        } = candidate;
        let names = settings.listen.map(|address| bind::names(&settings, address));
        self.guarding.change(&settings, names.unwrap_or_default());
        if settings.connections != self.settings.connections {
            let rooms = Rooms::new(settings.connections, self.api.usage.metrics().clone());
            self.rooms.send_replace(Arc::new(rooms));
        }
        let before = std::mem::take(&mut self.doors);
        let before = self.go(steps, before).await;
        for door in before {
            self.give_up(door).await;
        }
        for Released { inside, .. } in released {
            self.leaving.spawn(inside.leave());
        }
        self.settings = settings;
        self.problem = None;
        self.tell();
    }

    /// Answers the doors that no step is about.
    async fn go(&mut self, steps: Vec<Step>, mut before: Vec<Door>) -> Vec<Door> {
        let mut take = |wanted: &Wanted| {
            let place = before.iter().position(|door| door.is_at(wanted.address))?;
            Some(before.swap_remove(place))
        };
        for step in steps {
            match step {
                Step::Keep(wanted) => {
                    if let Some(mut door) = take(&wanted) {
                        door.wanted = wanted;
                        self.doors.push(door);
                    }
                }
                Step::Reseal(wanted, seal) => {
                    let Some(door) = take(&wanted) else { continue };
                    if let Some(shut) = door.shut().await {
                        let (shut, inside) = shut.resealed(wanted, seal);
                        self.leaving.spawn(inside.leave());
                        self.open(shut);
                    }
                }
                Step::Open(shut) => self.open(shut),
            }
        }
        before
    }

    fn open(&mut self, shut: Shut) {
        let door = shut.open(self.service.clone());
        let place = Some(door.address.to_string());
        self.api.keys.note(AuditEvent::Bound, None, place, &door.url());
        tracing::info!(url = door.url(), "the HTTP API is served");
        self.doors.push(door);
    }

    async fn give_up(&mut self, door: Door) {
        tracing::info!(url = door.url(), "the HTTP API is not served there any more");
        if let Some(shut) = door.shut().await {
            let released = shut.release(&self.service);
            self.leaving.spawn(Inside::leave(released.inside));
        }
    }

    async fn abandon(&mut self) {
        if let Some(candidate) = self.candidate.take() {
            self.take_back(candidate).await;
        }
    }

    /// What was made ready is let go, and what made way for it is as it was.
    async fn take_back(&mut self, candidate: Candidate) {
        let Candidate { steps, released, .. } = candidate;
        drop(steps);
        for door in released {
            match door.back().await {
                Ok(shut) => self.doors.push(shut.open(self.service.clone())),
                Err(error) => {
                    let fault = Fault::from(error);
                    tracing::error!(reason = %fault.kind, "the HTTP API lost its address: {fault}");
                    self.complain(fault.message);
                }
            }
        }
    }

    fn complain(&mut self, problem: String) {
        self.problem = Some(problem);
        self.tell();
    }

    /// Everybody who watches hears of it.
    fn tell(&mut self) {
        let open = self.settings.auth == Auth::LoopbackOpen && !self.doors.is_empty();
        if open && !self.told.open {
            tracing::warn!("every program on this machine may call the HTTP API without a key");
        }
        let status = HttpStatus {
            urls: self.doors.iter().map(Door::url).collect(),
            open,
            problem: self.problem.clone(),
        };
        if status != self.told {
            self.told = status.clone();
            self.publisher.publish(Event::HttpChanged(status));
        }
    }
}

fn has_keys(api: &Api) -> bool {
    let now = SystemTime::now();
    let keys = api.keys.list();
    keys.iter().any(|key| key.state(now) == KeyState::Active)
}
