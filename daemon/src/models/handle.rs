//! What the rest of the daemon asks of the models.

use std::sync::Arc;
use std::time::Duration;

use airunner_core::lifecycle::{Limits, Purpose};
use airunner_core::model::{ImportRequest, LoadRequest, Model, ModelDetails};
use airunner_core::{Fault, KeepAlive, ModelName};
use tokio::sync::{mpsc, oneshot};

use super::acquire::{Acquisition, ended};
use super::actor::{Actor, Message, not_found};
use super::hub::{Hub, Watch};
use super::import::{ImportEvents, import};
use super::store::{Installed, Store};
use crate::workers::Launcher;

/// The way to the models.
#[derive(Clone)]
pub struct Models {
    sender: mpsc::Sender<Message>,
    hub: Hub,
    store: Arc<Store>,
}

impl Models {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(store: Store, limits: Limits, launcher: Arc<dyn Launcher>) -> (Self, Actor) {
        let (actor, sender, hub) = Actor::new(store.scan(), limits, launcher);
        (
            Self {
                sender,
                hub,
                store: Arc::new(store),
            },
            actor,
        )
    }

    /// All models, from the published picture.
    #[must_use]
    pub fn list(&self) -> Vec<Model> {
        self.hub.models()
    }

    pub fn model(&self, name: &ModelName) -> Result<Model, Fault> {
        self.hub.model(name).ok_or_else(|| not_found(name))
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
        let (reply, answer) = oneshot::channel();
        let installed = self.ask(Message::Forget { name, reply }, answer).await??;
        let store = Arc::clone(&self.store);
        let kept = installed.clone();
        let removed = blocking(move || Ok(store.remove(&installed)?)).await;
        if removed.is_err() {
            self.installed(kept).await?;
        }
        removed
    }

    /// Gets into the queue for a model, to use it.
    pub async fn acquire(
        &self,
        name: ModelName,
        keep_alive: Option<KeepAlive>,
    ) -> Result<Acquisition, Fault> {
        self.get_in_line(name, Purpose::Use, keep_alive).await
    }

    /// Gets into the queue for a model, to have it loaded.
    pub async fn load(&self, request: LoadRequest) -> Result<Acquisition, Fault> {
        self.get_in_line(request.name, Purpose::Load, request.keep_alive)
            .await
    }

    async fn get_in_line(
        &self,
        name: ModelName,
        purpose: Purpose,
        keep_alive: Option<KeepAlive>,
    ) -> Result<Acquisition, Fault> {
        let changes = self.watch();
        let (reply, answer) = oneshot::channel();
        let (presence, gone) = oneshot::channel();
        let model = name.clone();
        self.send(Message::Acquire {
            name,
            purpose,
            keep_alive,
            reply,
            gone,
        })
        .await?;
        Ok(Acquisition {
            model,
            changes,
            reply: answer,
            presence: Some(presence),
        })
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

/// Runs file work where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Fault::internal(format!("file work failed: {error}"))),
    }
}
