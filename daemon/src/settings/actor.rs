//! Changes settings one after the other, and has them count.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::settings::{Applies, Setting, SettingChange};
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::book::{Book, Wish};
use crate::config::{Key, Settings, Written, keys};

type Reply<T> = oneshot::Sender<Result<T, Fault>>;

/// What can be refused by more than its look: an address may be taken, a file unreadable.
const REFUSABLE: &str = "http";

/// Has the running domains go by other settings.
pub trait Live: Send + Sync {
    /// Makes ready what can be refused, and refuses it. Nobody notices yet.
    fn prepare<'a>(&'a self, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>>;
    /// What was made ready counts, or is given up.
    fn settle(&self, counts: bool) -> BoxFuture<'_, Result<(), Fault>>;
    /// What the file asks for is refused: it stays as it was.
    fn refused<'a>(&'a self, fault: &'a Fault) -> BoxFuture<'a, ()>;
    /// Everything else.
    fn apply<'a>(&'a self, old: &'a Settings, new: &'a Settings) -> BoxFuture<'a, Result<(), Fault>>;
}

/// What came of reading the file again.
struct Applied {
    /// What is different, counting or not.
    changed: Vec<&'static Key>,
    /// Why some of it is not counting, if that is not for later.
    refused: Option<Fault>,
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

    /// What is refused is not written.
    async fn change(&mut self, changes: Vec<SettingChange>) -> Result<Vec<Setting>, Fault> {
        let names: Vec<String> = changes.iter().map(|change| change.name.clone()).collect();
        let wishes = self.ask(move |book, _| book.wishes(&changes)).await?;
        let (granted, refusable) = (wishes.clone(), wishes.iter().any(is_refusable));
        if refusable {
            let written = self.ask(move |book, _| book.preview(&wishes)).await?;
            self.prepare(&self.next(&written).settings()).await?;
        }
        if let Err(fault) = self.ask(move |book, _| book.grant(&granted)).await {
            self.settle(false).await?;
            return Err(fault);
        }
        let applied = self.apply().await?;
        match applied.refused {
            // It was well a moment ago, and is what was asked for.
            Some(fault) if refusable => Err(fault),
            Some(_) | None => self.these(names).await,
        }
    }

    async fn reload(&mut self) -> Result<Vec<Setting>, Fault> {
        let Applied { changed, refused } = self.apply().await?;
        if let Some(fault) = refused {
            return Err(fault);
        }
        self.these(changed.into_iter().map(Key::full_name).collect())
            .await
    }

    /// Has the daemon go by what is written, as far as it can while it runs. What is refused stays
    /// as it was.
    async fn apply(&mut self) -> Result<Applied, Fault> {
        let written = self.ask(|book, _| book.read()).await?;
        let changed: Vec<&Key> = keys().filter(|key| !self.running.agrees(key, &written)).collect();
        let mut next = self.next(&written);
        let refused = self.prepare(&next.settings()).await.err();
        if let Some(fault) = &refused {
            for key in keys().filter(|key| key.section == REFUSABLE) {
                next.take(key, &self.running);
            }
            self.tell_refused(fault).await;
        } else {
            self.settle(true).await?;
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
            let counts = !(refused.is_some() && key.section == REFUSABLE);
            tracing::info!(setting = key.full_name(), applies = %key.applies, counts, "a setting was changed");
        }
        Ok(Applied { changed, refused })
    }

    /// What the daemon would go by if this were written, without a restart.
    fn next(&self, written: &Written) -> Written {
        let mut next = (*self.running).clone();
        for key in keys().filter(|key| key.applies != Applies::Restart) {
            next.take(key, written);
        }
        next
    }

    async fn prepare(&self, new: &Settings) -> Result<(), Fault> {
        match &self.live {
            Some(live) => live.prepare(new).await,
            None => Ok(()),
        }
    }

    async fn settle(&self, counts: bool) -> Result<(), Fault> {
        match &self.live {
            Some(live) => live.settle(counts).await,
            None => Ok(()),
        }
    }

    async fn tell_refused(&self, fault: &Fault) {
        tracing::warn!(reason = %fault.kind, "the settings of the HTTP API stay as they were: {fault}");
        if let Some(live) = &self.live {
            live.refused(fault).await;
        }
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

fn is_refusable(wish: &Wish) -> bool {
    match wish {
        Wish::File(edit) => edit.key().section == REFUSABLE,
        Wish::StartAtLogin(_) => false,
    }
}
