//! What the rest of the daemon asks.

use std::sync::Arc;

use airunner_core::settings::{Setting, SettingChange};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{Actor, Message};
use super::book::Book;
use crate::config::{Settings, Written};

/// Calls that may wait for the task.
const WAITING: usize = 32;
/// Changes in one call.
const MOST: usize = 256;

/// The way to the settings.
#[derive(Clone)]
pub struct Handle {
    sender: mpsc::Sender<Message>,
    current: watch::Receiver<Arc<Settings>>,
}

impl Handle {
    /// The handle, and the task to run. `running` is what the daemon was started with.
    #[must_use]
    pub fn new(book: Book, running: Written) -> (Self, Actor) {
        let (sender, messages) = mpsc::channel(WAITING);
        let (published, current) = watch::channel(Arc::new(running.settings()));
        let actor = Actor::new(book, running, published, messages);
        (Self { sender, current }, actor)
    }

    /// What the daemon goes by now.
    #[must_use]
    pub fn current(&self) -> Arc<Settings> {
        Arc::clone(&self.current.borrow())
    }

    /// What the daemon goes by, whenever that changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Settings>> {
        self.current.clone()
    }

    /// Every setting, by section.
    pub async fn list(&self) -> Result<Vec<Setting>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::List { reply }, answer).await
    }

    pub async fn get(&self, name: String) -> Result<Setting, Fault> {
        let (reply, answer) = oneshot::channel();
        let names = vec![name];
        let mut found = self.ask(Message::These { names, reply }, answer).await?;
        found
            .pop()
            .ok_or_else(|| Fault::internal("a setting that is there was not found"))
    }

    /// Changes all of these, or nothing; what can count at once does. Answers how they are then.
    pub async fn change(&self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
        few(changes.len())?;
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Change { changes, reply }, answer).await
    }

    /// Reads the file again, and answers what is different since.
    pub async fn reload(&self) -> Result<Vec<Setting>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::Reload { reply }, answer).await
    }

    /// A budget was changed and written down by whoever keeps it.
    pub async fn budget_changed(&self) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.ask(Message::BudgetChanged { reply }, answer).await
    }

    async fn ask<T>(
        &self,
        message: Message,
        answer: oneshot::Receiver<Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.sender.send(message).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

fn few(count: usize) -> Result<(), Fault> {
    match count {
        0 => Err(Fault::invalid("nothing is named: name at least one setting")),
        1..=MOST => Ok(()),
        _ => Err(Fault::invalid(format!(
            "{count} settings are named: at most {MOST} can be changed at once"
        ))),
    }
}

fn ended() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down: try again once it runs",
    )
}
