//! Owns the answers that are made in the background.

use std::collections::HashMap;
use std::time::Duration;

use airunner_core::access::KeyId;
use airunner_core::{ErrorKind, Fault};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::storage::Storage;

/// Answers in the making at once.
const MAX_RUNNING: usize = 64;
/// Of these, those of one key. The user of this machine may have them all.
const MAX_OF_KEY: usize = 16;
/// When one more may be tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Makes an answer, and hands it back as it is to be kept.
pub type Work = BoxFuture<'static, Value>;

pub(super) enum Message {
    Start {
        id: String,
        owner: Option<KeyId>,
        work: Work,
        reply: oneshot::Sender<Result<(), Fault>>,
    },
    /// True if it was being made.
    Stop {
        id: String,
        reply: oneshot::Sender<bool>,
    },
    IsRunning {
        id: String,
        reply: oneshot::Sender<bool>,
    },
    /// Answered when nothing is being made any more.
    End(oneshot::Sender<()>),
}

/// An answer in the making.
struct Making {
    owner: Option<KeyId>,
    task: AbortHandle,
}

/// Runs the work.
pub struct Actor {
    messages: mpsc::Receiver<Message>,
    storage: Storage,
    running: HashMap<String, Making>,
    tasks: JoinSet<()>,
}

impl Actor {
    pub(super) fn new(messages: mpsc::Receiver<Message>, storage: Storage) -> Self {
        Self {
            messages,
            storage,
            running: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Until the end, or until every handle is gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::End(reply)) => return self.end(reply).await,
                    Some(message) => self.take(message),
                    None => break,
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => error.id(),
                    };
                    self.running.retain(|_, making| making.task.id() != id);
                }
            }
        }
    }

    /// Who asked may be gone.
    fn take(&mut self, message: Message) {
        match message {
            Message::Start {
                id,
                owner,
                work,
                reply,
            } => {
                let _ = reply.send(self.start(id, owner, work));
            }
            Message::Stop { id, reply } => {
                let making = self.running.remove(&id);
                if let Some(making) = &making {
                    making.task.abort();
                }
                let _ = reply.send(making.is_some());
            }
            Message::IsRunning { id, reply } => {
                let _ = reply.send(self.running.contains_key(&id));
            }
            Message::End(reply) => {
                let _ = reply.send(());
            }
        }
    }

    /// Who asks in the meantime learns that the daemon ends: nobody takes the messages any more.
    async fn end(mut self, reply: oneshot::Sender<()>) {
        self.messages.close();
        while self.messages.try_recv().is_ok() {}
        while self.tasks.join_next().await.is_some() {}
        let _ = reply.send(());
    }

    fn start(&mut self, id: String, owner: Option<KeyId>, work: Work) -> Result<(), Fault> {
        let own = self.running.values().filter(|making| making.owner == owner);
        if self.running.len() >= MAX_RUNNING {
            return Err(too_many(MAX_RUNNING));
        }
        if owner.is_some() && own.count() >= MAX_OF_KEY {
            return Err(too_many(MAX_OF_KEY));
        }
        let storage = self.storage.clone();
        let name = id.clone();
        let task = self.tasks.spawn(async move {
            let body = work.await.to_string();
            if let Err(fault) = storage.set_response_body(name, body).await {
                tracing::warn!(reason = %fault.kind, "an answer cannot be kept: {fault}");
            }
        });
        self.running.insert(id, Making { owner, task });
        Ok(())
    }
}

fn too_many(running: usize) -> Fault {
    Fault::new(
        ErrorKind::QueueFull,
        format!("{running} answers are being made in the background: wait for one of them"),
    )
    .retry_after(RETRY_AFTER)
}
