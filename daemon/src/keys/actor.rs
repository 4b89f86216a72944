//! Makes and revokes keys, one after the other, and writes the audit log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airunner_core::access::{AuditEntry, AuditEvent, CreatedKey, Key, KeyId, NewKey};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::book::Book;
use super::handle::Signals;
use super::secret;
use crate::storage::{KeyRecord, Storage};

/// From the first entry of the audit log, to the write.
const AUDIT_PAUSE: Duration = Duration::from_secs(1);
/// From the first use of a key to the write.
const USE_PAUSE: Duration = Duration::from_secs(30);
/// Refusals that are written one by one within [`AUDIT_PAUSE`].
const REFUSALS_MAX: usize = 32;

pub(super) enum Message {
    Create {
        wanted: NewKey,
        reply: oneshot::Sender<Result<CreatedKey, Fault>>,
    },
    Revoke {
        name_or_prefix: String,
        reply: oneshot::Sender<Result<Key, Fault>>,
    },
    Note(AuditEntry),
    Flush {
        reply: oneshot::Sender<Result<(), Fault>>,
    },
    End,
}

/// Owns the book.
pub struct Actor {
    book: watch::Sender<Arc<Book>>,
    messages: mpsc::Receiver<Message>,
    storage: Storage,
    signals: Arc<Signals>,
    entries: Vec<AuditEntry>,
    refusals: usize,
    audit_due: Option<Instant>,
    uses_due: Option<Instant>,
}

impl Actor {
    pub(super) fn new(
        book: watch::Sender<Arc<Book>>,
        messages: mpsc::Receiver<Message>,
        storage: Storage,
        signals: Arc<Signals>,
    ) -> Self {
        Self {
            book,
            messages,
            storage,
            signals,
            entries: Vec::new(),
            refusals: 0,
            audit_due: None,
            uses_due: None,
        }
    }

    /// Until it is told to end, or every handle is gone.
    pub async fn run(mut self) {
        let signals = Arc::clone(&self.signals);
        loop {
            let (audit, uses) = (self.audit_due, self.uses_due);
            tokio::select! {
                message = self.messages.recv() => match message {
                    Some(Message::End) | None => break,
                    Some(message) => self.handle(message).await,
                },
                () = signals.used.notified(), if uses.is_none() => {
                    self.uses_due = Some(Instant::now() + USE_PAUSE);
                }
                () = due(audit), if audit.is_some() => self.write_audit().await,
                () = due(uses), if uses.is_some() => self.write_uses().await,
            }
        }
        self.write_audit().await;
        self.write_uses().await;
    }

    /// Whoever asked may be gone.
    async fn handle(&mut self, message: Message) {
        match message {
            Message::Create { wanted, reply } => drop(reply.send(self.create(wanted).await)),
            Message::Revoke {
                name_or_prefix,
                reply,
            } => drop(reply.send(self.revoke(&name_or_prefix).await)),
            Message::Note(entry) => self.note(entry),
            Message::Flush { reply } => {
                self.write_audit().await;
                drop(reply.send(Ok(())));
            }
            // The loop has ended with it.
            Message::End => {}
        }
    }

    async fn create(&mut self, wanted: NewKey) -> Result<CreatedKey, Fault> {
        let secret = secret::draw(secret::KEY)?;
        let now = now();
        let mut scopes = wanted.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let record = KeyRecord {
            key: Key {
                id: KeyId(0),
                name: wanted.name,
                prefix: secret::prefix(&secret),
                scopes,
                created_at: now,
                expires_at: wanted.expires_after.and_then(|time| now.checked_add(time)),
                last_used_at: None,
                revoked_at: None,
            },
            hash: secret::hash(secret.reveal()),
        };
        let record = self.storage.insert_key(record).await?;
        let key = record.key.clone();
        self.book.send_modify(|book| Arc::make_mut(book).add(record));
        let scopes: Vec<&str> = key.scopes.iter().map(|scope| scope.as_str()).collect();
        self.noted(
            AuditEvent::KeyCreated,
            &key,
            format!("{} for {}", key.prefix, scopes.join(", ")),
        )
        .await;
        Ok(CreatedKey { key, secret })
    }

    async fn revoke(&mut self, name_or_prefix: &str) -> Result<Key, Fault> {
        let found = self.book.borrow().find(name_or_prefix);
        let Some(mut key) = found else {
            return Err(Fault::new(
                ErrorKind::NotFound,
                "no key in use is called so or begins so: see `airunner keys list`",
            ));
        };
        let at = now();
        self.storage.revoke_key(key.id, at).await?;
        self.book
            .send_modify(|book| *book = Arc::new(book.revoked(key.id, at)));
        key.revoked_at = Some(at);
        self.noted(AuditEvent::KeyRevoked, &key, key.prefix.clone()).await;
        Ok(key)
    }

    /// What is done with keys is written at once.
    async fn noted(&mut self, event: AuditEvent, key: &Key, detail: String) {
        self.note(AuditEntry {
            at: now(),
            event,
            key_name: Some(key.name.clone()),
            address: None,
            detail,
        });
        self.write_audit().await;
    }

    fn note(&mut self, entry: AuditEntry) {
        if entry.event == AuditEvent::Refused {
            self.refusals += 1;
            if self.refusals > REFUSALS_MAX {
                self.signals.missed.fetch_add(1, Ordering::Relaxed);
                return;
            }
        }
        self.audit_due.get_or_insert_with(|| Instant::now() + AUDIT_PAUSE);
        let AuditEntry {
            event,
            key_name,
            address,
            detail,
            ..
        } = &entry;
        if matches!(event, AuditEvent::BindRefused | AuditEvent::Refused) {
            tracing::warn!(event = event.as_str(), key_name, address, detail, "audit");
        } else {
            tracing::info!(event = event.as_str(), key_name, address, detail, "audit");
        }
        self.entries.push(entry);
    }

    async fn write_audit(&mut self) {
        self.audit_due = None;
        self.refusals = 0;
        let missed = self.signals.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            tracing::warn!(
                missed,
                "requests were refused too fast to be written down one by one"
            );
            self.entries.push(AuditEntry {
                at: now(),
                event: AuditEvent::Refused,
                key_name: None,
                address: None,
                detail: format!("{missed} more"),
            });
        }
        if self.entries.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.entries);
        if let Err(fault) = self.storage.record_audit(entries).await {
            tracing::warn!(reason = %fault.kind, "the audit log cannot be written to the database: {fault}");
        }
    }

    async fn write_uses(&mut self) {
        self.uses_due = None;
        let uses = self.book.borrow().unwritten();
        if uses.is_empty() {
            return;
        }
        if let Err(fault) = self.storage.note_key_use(uses).await {
            tracing::warn!(reason = %fault.kind, "the use of keys cannot be written down: {fault}");
        }
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// In whole milliseconds, as the database keeps it.
fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let milliseconds = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    UNIX_EPOCH + Duration::from_millis(milliseconds)
}
