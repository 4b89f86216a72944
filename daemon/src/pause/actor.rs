//! Keeps the pause, and ends it.

use std::time::{Duration, SystemTime};

use airunner_core::Fault;
use airunner_core::pause::{Pause, PauseRequest};
use tokio::sync::{mpsc, oneshot};

use crate::models::{Models, Quieting};
use crate::storage::Storage;

/// How often the clock of the machine is looked at during a pause with an end: it may be set, and
/// the machine may sleep.
const LOOK_EVERY: Duration = Duration::from_secs(60);

pub(super) enum Message {
    Pause {
        request: PauseRequest,
        reply: oneshot::Sender<Result<Quieting, Fault>>,
    },
    Resume {
        reply: oneshot::Sender<Result<bool, Fault>>,
    },
}

/// Ready to run.
pub struct Actor {
    models: Models,
    storage: Storage,
    messages: mpsc::Receiver<Message>,
}

impl Actor {
    pub(super) const fn new(models: Models, storage: Storage, messages: mpsc::Receiver<Message>) -> Self {
        Self {
            models,
            storage,
            messages,
        }
    }

    /// Until every handle is gone.
    pub async fn run(mut self) {
        loop {
            let paused = self.models.paused();
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return,
                },
                () = next_look(paused) => self.end_if_over().await,
            }
        }
    }

    /// Whoever asked may be gone.
    async fn handle(&self, message: Message) {
        match message {
            Message::Pause { request, reply } => drop(reply.send(self.pause(request).await)),
            Message::Resume { reply } => drop(reply.send(self.resume().await)),
        }
    }

    /// Kept before it is in force: what is promised survives.
    async fn pause(&self, request: PauseRequest) -> Result<Quieting, Fault> {
        let pause = Pause::begin(request.length, SystemTime::now());
        self.storage.keep_pause(Some(pause)).await?;
        let seconds = request.length.map(|length| length.as_secs());
        tracing::info!(seconds, force = request.force, "paused: nothing is loaded or run");
        self.models.pause(pause, request.force).await
    }

    /// Resumed even if it cannot be written down: the next start would pause again.
    async fn resume(&self) -> Result<bool, Fault> {
        let kept = self.storage.keep_pause(None).await;
        let was_paused = self.models.resume().await?;
        if was_paused {
            tracing::info!("resumed: models are loaded and run again");
        }
        kept.map(|()| was_paused)
    }

    async fn end_if_over(&self) {
        let now = SystemTime::now();
        if !self.models.paused().is_some_and(|pause| pause.is_over(now)) {
            return;
        }
        if let Err(fault) = self.resume().await {
            tracing::warn!(reason = %fault.kind, "the end of the pause cannot be written down: {fault}");
        }
    }
}

/// Never, if only somebody who resumes ends it.
async fn next_look(paused: Option<Pause>) {
    match paused.and_then(|pause| pause.remaining(SystemTime::now())) {
        Some(left) => tokio::time::sleep(left.min(LOOK_EVERY)).await,
        None => std::future::pending().await,
    }
}
