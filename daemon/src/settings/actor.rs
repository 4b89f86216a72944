//! Changes settings one after the other, and has them count.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::settings::{Applies, Setting, SettingChange};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::book::Book;
use crate::config::{Key, Settings, Written, keys};

type Reply<T> = oneshot::Sender<Result<T, Fault>>;

/// Has the running domains go by other settings.
pub trait Live: Send + Sync {
    fn apply<'a>(&'a self, old: &'a Settings, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>>;
}

pub(super) enum Message {
    List {
        reply: Reply<Vec<Setting>>,
    },
    These {
        names: Vec<String>,
        reply: Reply<Vec<Setting>>,
    },
    Change {
        changes: Vec<SettingChange>,
        reply: Reply<Vec<Setting>>,
    },
    Reload {
        reply: Reply<Vec<Setting>>,
    },
    BudgetChanged {
        reply: Reply<()>,
    },
}

/// Ready to run.
pub struct Actor {
    book: Book,
    /// What the daemon goes by: as it was at the start where only a restart changes it.
    running: Arc<Written>,
    published: watch::Sender<Arc<Settings>>,
    messages: mpsc::Receiver<Message>,
    live: Option<Arc<dyn Live>>,
}

impl Actor {
    pub(super) fn new(
        book: Book,
        running: Written,
        published: watch::Sender<Arc<Settings>>,
        messages: mpsc::Receiver<Message>,
    ) -> Self {
        Self {
            book,
            running: Arc::new(running),
            published,
            messages,
            live: None,
        }
    }

    /// Until every handle is gone.
    pub async fn run(mut self, live: Arc<dyn Live>) {
        self.live = Some(live);
        while let Some(message) = self.messages.recv().await {
            self.handle(message).await;
        }
    }

    /// Whoever asked may be gone.
    async fn handle(&mut self, message: Message) {
        match message {
            Message::List { reply } => {
                let listed = self.ask(|book, running| book.list(Some(running))).await;
                drop(reply.send(listed));
            }
            Message::These { names, reply } => drop(reply.send(self.these(names).await)),
            Message::Change { changes, reply } => drop(reply.send(self.change(changes).await)),
            Message::Reload { reply } => drop(reply.send(self.reload().await)),
            Message::BudgetChanged { reply } => drop(reply.send(self.budget_changed().await)),
        }
    }

    async fn change(&mut self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
        let names = changes.iter().map(|change| change.name.clone()).collect();
        self.ask(move |book, _| book.grant(&book.wishes(&changes)?))
            .await?;
        self.apply().await?;
        self.these(names).await
    }

    async fn reload(&mut self) -> Result<Vec<Setting>, Fault> {
        let changed = self.apply().await?;
        self.these(changed.into_iter().map(Key::full_name).collect())
            .await
    }

    /// Has the daemon go by what is written, as far as it can while it runs. Answers what is
    /// different, counting or not.
    async fn apply(&mut self) -> Result<Vec<&'static Key>, Fault> {
        let written = self.ask(|book, _| book.read()).await?;
        let changed: Vec<&Key> = keys().filter(|key| !self.running.agrees(key, &written)).collect();
        let mut next = (*self.running).clone();
        for key in &changed {
            if key.applies != Applies::Restart {
                next.take(key, &written);
            }
        }
        let (old, new) = (self.running.settings(), next.settings());
        if old != new {
            if let Some(live) = &self.live {
                live.apply(&old, &new).await?;
            }
            self.running = Arc::new(next);
            self.published.send_replace(Arc::new(new));
        }
        for key in &changed {
            tracing::info!(setting = key.full_name(), counts = %key.applies, "a setting was changed");
        }
        Ok(changed)
    }

    async fn budget_changed(&mut self) -> Result<(), Fault> {
        let written = self.ask(|book, _| book.read()).await?;
        let mut next = (*self.running).clone();
        for key in keys().filter(|key| key.section == "memory") {
            next.take(key, &written);
        }
        self.published.send_replace(Arc::new(next.settings()));
        self.running = Arc::new(next);
        Ok(())
    }

    async fn these(&self, names: Vec<String>) -> Result<Vec<Setting>, Fault> {
        self.ask(move |book, running| book.these(&names, Some(running)))
            .await
    }

    /// Files and the system are asked where it may block.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Book, &Written) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let (book, running) = (self.book.clone(), Arc::clone(&self.running));
        match tokio::task::spawn_blocking(move || work(&book, &running)).await {
            Ok(result) => result,
            Err(error) => Err(Fault::internal(format!(
                "asking for the settings failed: {error}"
            ))),
        }
    }
}
