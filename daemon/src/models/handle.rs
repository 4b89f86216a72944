//! What the rest of the daemon asks of the models.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::generate::ClientId;
use airunner_core::hardware::Device;
use airunner_core::lifecycle::Purpose;
use airunner_core::memory::{
    BudgetChange, Ceiling, DeviceClass, Estimate, EstimateRequest, FreeRequest, Freed, MemoryBreakdown,
    MemoryReading, Permission, PermissionRequest,
};
use airunner_core::model::{ImportRequest, LoadRequest, Model, ModelDetails};
use airunner_core::pause::Pause;
use airunner_core::residency::{ReservationId, Wishes};
use airunner_core::{Fault, KeepAlive, ModelName, Priority};
use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::acquire::{Acquisition, ended};
use super::actor::{Actor, Parts, not_found};
use super::adjust::Adjustment;
use super::caller::Want;
use super::import::{ImportEvents, import};
use super::message::{Going, Message};
use super::pause::Quieting;
use super::store::{Card, Installed, Store};
use crate::config;
use crate::events::{Hub, Watch};

/// The way to the models.
#[derive(Clone)]
pub struct Models {
    sender: mpsc::Sender<Message>,
    hub: Hub,
    store: Arc<Store>,
    pids: watch::Receiver<Vec<u32>>,
    /// Where a changed budget is kept; `None` keeps it for this life of the daemon only.
    settings: Option<Arc<Mutex<PathBuf>>>,
}

impl Models {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(store: Arc<Store>, hub: Hub, parts: Parts, settings: Option<PathBuf>) -> (Self, Actor) {
        let (actor, sender, pids) = Actor::new(store.scan(), parts);
        let models = Self {
            sender,
            hub,
            store,
            pids,
            settings: settings.map(|file| Arc::new(Mutex::new(file))),
        };
        (models, actor)
    }

    /// All models, from the published picture.
    #[must_use]
    pub fn list(&self) -> Vec<Model> {
        self.hub.models()
    }

    pub fn model(&self, name: &ModelName) -> Result<Model, Fault> {
        self.hub.model(name).ok_or_else(|| not_found(name))
    }

    /// The pause that is in force.
    #[must_use]
    pub fn paused(&self) -> Option<Pause> {
        self.hub.paused()
    }

    #[must_use]
    pub fn is_shutting_down(&self) -> bool {
        self.hub.is_shutting_down()
    }

    #[must_use]
    pub fn watch(&self) -> Watch {
        self.hub.watch()
    }

    /// Reads the package.
    pub async fn show(&self, name: &ModelName) -> Result<ModelDetails, Fault> {
        let model = self.model(name)?;
        let store = Arc::clone(&self.store);
        blocking(move || store.details(model)).await
    }

    /// Starts an import; dropping the events abandons it.
    #[must_use]
    pub fn import(&self, request: ImportRequest) -> ImportEvents {
        import(self.clone(), Arc::clone(&self.store), request)
    }

    /// Deletes a model that is not in memory.
    pub async fn remove(&self, name: ModelName) -> Result<(), Fault> {
        let models = self.clone();
        // Beside the caller, who may leave: a removal that has begun goes to its end.
        let removal = tokio::spawn(async move { models.remove_to_the_end(name).await });
        match removal.await {
            Ok(removed) => removed,
            Err(error) => Err(Fault::internal(format!("the removal failed: {error}"))),
        }
    }

    /// When it was installed, and which files it has.
    pub async fn card(&self, name: &ModelName) -> Result<Card, Fault> {
        let installed = self.find(name).await?;
        let store = Arc::clone(&self.store);
        blocking(move || Ok(store.card(&installed)?)).await
    }

    /// Takes a model that is not in use out of the list.
    pub(super) async fn forget(&self, name: ModelName) -> Result<Installed, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Forget { name, reply }, answer).await?
    }

    async fn remove_to_the_end(&self, name: ModelName) -> Result<(), Fault> {
        let installed = self.forget(name).await?;
        let store = Arc::clone(&self.store);
        let kept = installed.clone();
        let removed = blocking(move || Ok(store.remove(&installed)?)).await;
        if removed.is_err() {
            self.installed(kept).await?;
        }
        removed
    }

    /// Gets into the queue for a model, to use it.
    pub async fn acquire(&self, access: Access) -> Result<Acquisition, Fault> {
        self.get_in_line(Want {
            name: access.model,
            purpose: Purpose::Use,
            keep_alive: access.keep_alive,
            client: access.client,
            priority: access.priority,
            max_wait: access.max_wait,
            wishes: Wishes::default(),
            pinned: None,
            may_evict: true,
            why: "request",
        })
        .await
    }

    /// Gets into the queue for a model, to have it loaded.
    pub async fn load(&self, request: LoadRequest) -> Result<Acquisition, Fault> {
        self.get_in_line(wanted(request, true, "requested")).await
    }

    /// Loads a model if there is room for it without unloading another.
    pub async fn preload(&self, request: LoadRequest) -> Result<(), Fault> {
        let acquisition = self.get_in_line(wanted(request, false, "preload")).await?;
        acquisition.loaded().await
    }

    /// Loads a model anew as it is loaded, if that process still runs it and nobody needs it or
    /// waits; returns once it is loaded. Requests that come meanwhile wait for the new worker.
    pub async fn renew(&self, name: &ModelName, pid: u32) -> Result<(), Fault> {
        let (acquisition, (reply, place, gone)) = Acquisition::new(name.clone(), self.watch());
        let name = name.clone();
        self.send(Message::Renew {
            name,
            pid,
            reply,
            place,
            gone,
        })
        .await?;
        acquisition.loaded().await
    }

    async fn get_in_line(&self, want: Want) -> Result<Acquisition, Fault> {
        let (acquisition, (reply, place, gone)) = Acquisition::new(want.name.clone(), self.watch());
        self.send(Message::Acquire {
            want,
            reply,
            place,
            gone,
        })
        .await?;
        Ok(acquisition)
    }

    /// What loading a model would take, and what would have to go.
    pub async fn estimate(&self, request: EstimateRequest) -> Result<Estimate, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Estimate { request, reply }, answer).await?
    }

    /// Whether an operation could start now.
    pub async fn can_perform(&self, request: PermissionRequest) -> Result<Permission, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::CanPerform { request, reply }, answer).await
    }

    /// Who has how much memory, from the published picture.
    #[must_use]
    pub fn memory(&self) -> Vec<MemoryBreakdown> {
        self.hub.memory()
    }

    /// Changes a budget at once, and in the settings file.
    pub async fn set_budget(&self, change: BudgetChange) -> Result<Vec<MemoryBreakdown>, Fault> {
        if let Some(settings) = &self.settings {
            // One change at a time, also of one whose caller has left.
            let file = Arc::clone(settings).lock_owned().await;
            let key = match change.device {
                DeviceClass::Cpu => "cpu_budget",
                DeviceClass::Gpu => "gpu_budget",
            };
            let text = change.budget.to_string();
            blocking(move || Ok(config::edit::set(&file, "memory", key, text)?)).await?;
        }
        self.apply_budget(change).await
    }

    /// Changes a budget for this life of the daemon.
    pub async fn apply_budget(&self, change: BudgetChange) -> Result<Vec<MemoryBreakdown>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Budget { change, reply }, answer).await
    }

    /// Goes by other settings.
    pub async fn adjust(&self, adjustment: Adjustment) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Adjust { adjustment, reply }, answer).await
    }

    /// Unloads everything idle, and returns when its memory is back.
    pub async fn free(&self, request: FreeRequest) -> Result<Freed, Fault> {
        let (reply, answer) = oneshot::channel();
        let pinned = request.pinned;
        Ok(freed(self.ask(Message::Free { pinned, reply }, answer).await?).await)
    }

    /// Nobody gets a model until it is resumed, and what does not finish first goes.
    pub(crate) async fn pause(&self, pause: Pause, force: bool) -> Result<Quieting, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Pause { pause, force, reply }, answer).await
    }

    /// True if there was a pause.
    pub(crate) async fn resume(&self) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Resume { reply }, answer).await
    }

    /// Sets memory aside until the reservation is dropped. Idle models go if need be.
    pub async fn reserve(&self, device: Device, bytes: u64) -> Result<Reservation, Fault> {
        self.set_aside(device, bytes, true).await
    }

    /// Sets memory aside that is free now; nothing goes for it.
    pub async fn try_reserve(&self, device: Device, bytes: u64) -> Result<Reservation, Fault> {
        self.set_aside(device, bytes, false).await
    }

    async fn set_aside(&self, device: Device, bytes: u64, evict: bool) -> Result<Reservation, Fault> {
        let (reply, answer) = oneshot::channel();
        let (presence, gone) = oneshot::channel();
        let message = Message::Reserve {
            device,
            bytes,
            evict,
            gone,
            reply,
        };
        let id = self.ask(message, answer).await??;
        Ok(Reservation {
            id,
            device,
            models: self.clone(),
            _presence: presence,
        })
    }

    /// The most one model could have on each device, with nothing else loaded.
    pub async fn ceilings(&self) -> Result<Vec<(Device, u64)>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Ceilings { reply }, answer).await
    }

    /// The most one model could have where models run: on the CPU. What the other devices hold
    /// counts once they run there too.
    pub async fn cpu_ceilings(&self) -> Result<Vec<Ceiling>, Fault> {
        let ceilings = self.ceilings().await?.into_iter();
        let cpu = ceilings.filter(|(device, _)| *device == Device::Cpu);
        Ok(cpu
            .map(|(device, bytes)| Ceiling {
                device,
                compute_capability: None,
                bytes,
            })
            .collect())
    }

    /// Tells what the devices say. What comes too fast is dropped: the next replaces it.
    pub fn readings(&self, readings: Vec<(Device, MemoryReading)>) {
        drop(self.sender.try_send(Message::Readings(readings)));
    }

    /// The system runs short of memory.
    pub fn pressure(&self, device: Device, shortage_bytes: u64) {
        let message = Message::Pressure {
            device,
            shortage_bytes,
        };
        drop(self.sender.try_send(message));
    }

    /// The processes of all workers, as they come and go.
    #[must_use]
    pub fn worker_pids(&self) -> watch::Receiver<Vec<u32>> {
        self.pids.clone()
    }

    /// Where an installed model is.
    pub async fn find(&self, name: &ModelName) -> Result<Installed, Fault> {
        let (reply, answer) = oneshot::channel();
        let name = name.clone();
        self.ask(Message::Find { name, reply }, answer).await?
    }

    /// The packages on disk.
    #[must_use]
    pub fn store(&self) -> Arc<Store> {
        Arc::clone(&self.store)
    }

    /// Returns when the worker is gone: true if there was one.
    pub async fn unload(&self, name: ModelName, force: bool) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Unload { name, force, reply }, answer).await?
    }

    /// Puts a package of the store into the list.
    pub(crate) async fn installed(&self, installed: Installed) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Install { installed, reply }, answer).await
    }

    /// Refuses new requests, lets active ones finish, and returns when no worker is left.
    pub async fn shutdown(&self, grace: Duration) {
        let (reply, answer) = oneshot::channel();
        if self
            .ask(Message::Shutdown { grace, reply }, answer)
            .await
            .is_err()
        {
            tracing::debug!("the models have ended already");
        }
    }

    /// Ends all workers without waiting for requests. Ask for the end with `shutdown`.
    pub async fn abandon(&self) {
        if self.send(Message::Abandon).await.is_err() {
            tracing::debug!("the models have ended already");
        }
    }

    /// Returns when everything that happened before, such as the end of a lease, can be seen.
    pub async fn settle(&self) {
        let (reply, answer) = oneshot::channel();
        if self.ask(Message::Settle { reply }, answer).await.is_err() {
            tracing::debug!("the models have ended already");
        }
    }

    /// Ends the actor and every watch; workers that still live are killed.
    pub async fn end(&self) {
        if self.send(Message::End).await.is_err() {
            tracing::debug!("the models have ended already");
        }
    }

    async fn ask<T>(&self, message: Message, answer: oneshot::Receiver<T>) -> Result<T, Fault> {
        self.send(message).await?;
        answer.await.map_err(|_| ended())
    }

    async fn send(&self, message: Message) -> Result<(), Fault> {
        self.sender.send(message).await.map_err(|_| ended())
    }
}

/// Who wants to use a model, and how.
#[derive(Clone, Debug)]
pub struct Access {
    pub model: ModelName,
    pub keep_alive: Option<KeepAlive>,
    /// Clients share the queue fairly.
    pub client: ClientId,
    pub priority: Priority,
    /// How long it may take until its turn.
    pub max_wait: Option<Duration>,
}

/// Memory set aside, until dropped.
pub struct Reservation {
    id: ReservationId,
    device: Device,
    models: Models,
    _presence: super::acquire::Presence,
}

impl Reservation {
    /// Sets aside another amount instead; what cannot be had is refused and changes nothing.
    pub async fn resize(&self, bytes: u64) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        let (id, device) = (self.id, self.device);
        let message = Message::Resize {
            id,
            device,
            bytes,
            reply,
        };
        self.models.ask(message, answer).await?
    }
}

fn wanted(request: LoadRequest, may_evict: bool, why: &'static str) -> Want {
    Want {
        name: request.name,
        purpose: Purpose::Load,
        keep_alive: request.keep_alive,
        client: ClientId::default(),
        priority: request.priority,
        max_wait: request.max_wait,
        wishes: Wishes {
            level: request.level,
            context_length: request.context_length,
        },
        pinned: request.pinned,
        may_evict,
        why,
    }
}

/// Waits for what is being unloaded.
pub(super) async fn freed(all: Vec<Going>) -> Freed {
    let mut freed = Freed::default();
    for going in all {
        if going.gone.await.is_ok_and(|gone| gone.is_ok()) {
            freed.freed_bytes += going.bytes;
            freed.unloaded.push(going.name);
        }
    }
    freed
}

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Fault::internal(format!("file work failed: {error}"))),
    }
}
