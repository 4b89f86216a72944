//! What the rest of the daemon asks and tells.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use airunner_core::access::{AuditEntry, AuditEvent, Caller, CreatedKey, Key, KeyId, NewKey, Secret};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::sleep;

use super::actor::{Actor, Message};
use super::book::{Book, Tenure};
use super::{TOKEN_FILE, secret, token};
use crate::storage::Storage;

/// Calls and entries that may wait for the actor.
const WAITING: usize = 256;
/// Longer than any key.
const LONGEST: usize = 256;
/// How often it is looked whether a key has expired: the clock of the machine may be set.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// The way to the keys.
#[derive(Clone, Debug)]
pub struct Keys {
    book: watch::Receiver<Arc<Book>>,
    local: Arc<Local>,
    sender: mpsc::Sender<Message>,
    storage: Storage,
    signals: Arc<Signals>,
}

/// The token of the local user.
#[derive(Debug)]
struct Local {
    secret: Secret,
    hash: [u8; 32],
}

/// What requests leave behind without waiting.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// A key was used.
    pub(super) used: Notify,
    /// Entries of the audit log that there was no room for.
    pub(super) missed: AtomicU64,
}

impl Keys {
    /// Reads what there is; makes the local token if need be. The handle, and the actor to run.
    pub async fn open(data: &Path, storage: Storage) -> Result<(Self, Actor), Fault> {
        let path = data.join(TOKEN_FILE);
        let token = tokio::task::spawn_blocking(move || token::open(&path))
            .await
            .map_err(|error| Fault::internal(format!("reading the token failed: {error}")))??;
        let book = Arc::new(Book::new(storage.keys().await?));
        let (publisher, book) = watch::channel(book);
        let (sender, receiver) = mpsc::channel(WAITING);
        let signals = Arc::new(Signals::default());
        let actor = Actor::new(publisher, receiver, storage.clone(), Arc::clone(&signals));
        let keys = Self {
            book,
            local: Arc::new(Local {
                hash: secret::hash(token.secret.reveal()),
                secret: token.secret,
            }),
            sender,
            storage,
            signals,
        };
        if let Some(why) = token.made {
            keys.note(AuditEvent::TokenMade, None, None, why);
        }
        Ok((keys, actor))
    }

    /// Whose key that is. Whoever has none, or one that is wrong, expired or revoked, is told the
    /// same.
    pub fn identify(&self, presented: &str) -> Result<Caller, Fault> {
        self.identify_at(presented, SystemTime::now())
    }

    pub(super) fn identify_at(&self, presented: &str, now: SystemTime) -> Result<Caller, Fault> {
        if presented.len() > LONGEST {
            return Err(unauthenticated());
        }
        let hash = secret::hash(presented);
        if secret::same(&self.local.hash, &hash) {
            return Ok(Caller::local());
        }
        let book = self.book.borrow();
        let entry = book.active(&hash, now).ok_or_else(unauthenticated)?;
        if entry.touch(now) {
            self.signals.used.notify_one();
        }
        let key = entry.key();
        Ok(Caller {
            key: Some(key.id),
            name: key.name,
            scopes: key.scopes,
        })
    }

    /// The token of the local user.
    #[must_use]
    pub fn local_token(&self) -> &Secret {
        &self.local.secret
    }

    /// Every key, also revoked ones, in the order in which they were made.
    #[must_use]
    pub fn list(&self) -> Vec<Key> {
        self.book.borrow().keys()
    }

    /// Resolves once the key is good for nothing any more, with what is to be told to whoever
    /// uses it. The local user keeps all rights.
    pub fn lost(&self, key: Option<KeyId>) -> impl Future<Output = Fault> + Send + use<> {
        let book = self.book.clone();
        async move {
            match key {
                Some(key) => lost(book, key).await,
                None => std::future::pending().await,
            }
        }
    }

    /// Makes a key. Nobody can ever see it again.
    pub async fn create(&self, wanted: NewKey) -> Result<CreatedKey, Fault> {
        wanted.check()?;
        self.ask(|reply| Message::Create { wanted, reply }).await
    }

    /// From the answer on the key opens nothing. Found by its name, or by what it begins with as
    /// it is listed.
    pub async fn revoke(&self, name_or_prefix: String) -> Result<Key, Fault> {
        self.ask(|reply| Message::Revoke {
            name_or_prefix,
            reply,
        })
        .await
    }

    /// Adds to the audit log. Never waits; if too much comes at once, the log says how much.
    pub fn note(&self, event: AuditEvent, key_name: Option<&str>, address: Option<String>, detail: &str) {
        let entry = AuditEntry {
            at: SystemTime::now(),
            event,
            key_name: key_name.map(str::to_owned),
            address,
            detail: detail.to_owned(),
        };
        if self.sender.try_send(Message::Note(entry)).is_err() {
            self.signals.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The newest entries of the audit log, the newest first.
    pub async fn audit(&self, count: u32) -> Result<Vec<AuditEntry>, Fault> {
        self.ask(|reply| Message::Flush { reply }).await?;
        self.storage.audit(count).await
    }

    /// Lets the actor write what is left and end.
    pub async fn end(&self) {
        // It has ended already if it cannot be told.
        drop(self.sender.send(Message::End).await);
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T, Fault>>) -> Message,
    ) -> Result<T, Fault> {
        let ends = || Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down");
        let (reply, answer) = oneshot::channel();
        self.sender.send(message(reply)).await.map_err(|_| ends())?;
        answer.await.map_err(|_| ends())?
    }
}

async fn lost(mut book: watch::Receiver<Arc<Book>>, key: KeyId) -> Fault {
    loop {
        let tenure = book.borrow_and_update().tenure(key, SystemTime::now());
        let left = match tenure {
            Tenure::Over => return over(),
            Tenure::Until(left) => Some(left),
            Tenure::Unlimited => None,
        };
        tokio::select! {
            changed = book.changed() => if changed.is_err() {
                // The daemon ends, and everything with it.
                std::future::pending::<()>().await;
            },
            () = sleep(left.unwrap_or_default().min(LOOK_EVERY)), if left.is_some() => {}
        }
    }
}

fn over() -> Fault {
    Fault::new(
        ErrorKind::Unauthenticated,
        "the key was revoked or has expired, and what was done with it ends: ask again with another key",
    )
}

/// One text for all cases, so that nobody learns which keys there are.
fn unauthenticated() -> Fault {
    Fault::new(
        ErrorKind::Unauthenticated,
        "this needs a key that is valid: send the token that `airunner keys token` prints, or a key of \
         `airunner keys create`, as \"Authorization: Bearer KEY\"",
    )
}
