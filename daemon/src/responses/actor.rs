//! Owns the answers that are made in the background.

use std::collections::HashMap;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use crate::storage::Storage;

/// Answers in the making at once.
const MAX_RUNNING: usize = 64;
/// When one more may be tried.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Makes an answer, and hands it back as it is to be kept.
pub type Work = BoxFuture<'static, Value>;

pub(super) enum Message {
    Start {
        id: String,
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
}

/// Runs the work.
pub struct Actor {
    messages: mpsc::Receiver<Message>,
    storage: Storage,
    running: HashMap<String, AbortHandle>,
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

    /// Until every handle is gone.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    let id = match ended {
                        Ok((id, ())) => id,
                        Err(error) => error.id(),
                    };
                    self.running.retain(|_, task| task.id() != id);
                }
            }
        }
    }

    /// Who asked may be gone.
    fn take(&mut self, message: Message) {
        match message {
            Message::Start { id, work, reply } => {
                let _ = reply.send(self.start(id, work));
            }
            Message::Stop { id, reply } => {
                let task = self.running.remove(&id);
                if let Some(task) = &task {
                    task.abort();
                }
                let _ = reply.send(task.is_some());
            }
            Message::IsRunning { id, reply } => {
                let _ = reply.send(self.running.contains_key(&id));
            }
        }
    }

    fn start(&mut self, id: String, work: Work) -> Result<(), Fault> {
        if self.running.len() >= MAX_RUNNING {
            return Err(Fault::new(
                ErrorKind::QueueFull,
                format!("{MAX_RUNNING} answers are being made in the background: wait for one of them"),
            )
            .retry_after(RETRY_AFTER));
        }
        let storage = self.storage.clone();
        let name = id.clone();
        let task = self.tasks.spawn(async move {
            let body = work.await.to_string();
            if let Err(fault) = storage.set_response_body(name, body).await {
                tracing::warn!(reason = %fault.kind, "an answer cannot be kept: {fault}");
            }
        });
        self.running.insert(id, task);
        Ok(())
    }
}
