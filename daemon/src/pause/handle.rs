//! What the rest of the daemon asks.

use std::time::SystemTime;

use airunner_core::pause::{Pause, PauseRequest, Paused};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot};

use super::actor::{Actor, Message};
use crate::models::Models;
use crate::storage::Storage;

/// Calls that may wait for the task.
const WAITING: usize = 16;

/// The way to the pause.
#[derive(Clone, Debug)]
pub struct Pausing {
    sender: mpsc::Sender<Message>,
}

impl Pausing {
    /// The pause that was in force when the daemon ended, if its time is not over: the models are
    /// to begin with it.
    pub async fn kept(storage: &Storage) -> Result<Option<Pause>, Fault> {
        let kept = storage.pause().await?;
        Ok(kept.filter(|pause| !pause.is_over(SystemTime::now())))
    }

    /// The handle, and the task to run.
    #[must_use]
    pub fn new(models: Models, storage: Storage) -> (Self, Actor) {
        let (sender, messages) = mpsc::channel(WAITING);
        (Self { sender }, Actor::new(models, storage, messages))
    }

    /// Refuses a request that makes no sense.
    pub async fn pause(&self, request: PauseRequest) -> Result<Paused, Fault> {
        request.check()?;
        let (reply, answer) = oneshot::channel();
        self.send(Message::Pause { request, reply }).await?;
        let quieting = answer.await.map_err(|_| ended())??;
        Ok(quieting.settled().await)
    }

    /// True if there was a pause.
    pub async fn resume(&self) -> Result<bool, Fault> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Resume { reply }).await?;
        answer.await.map_err(|_| ended())?
    }

    async fn send(&self, message: Message) -> Result<(), Fault> {
        self.sender.send(message).await.map_err(|_| ended())
    }
}

fn ended() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down: try again once it runs",
    )
}
