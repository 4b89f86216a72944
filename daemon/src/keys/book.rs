//! All keys, as requests look them up: replaced as a whole, never changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airunner_core::access::{Key, KeyId, KeyState};

use super::secret::same;
use crate::storage::KeyRecord;

/// A key that is used all the time need not be noted more often.
const NOTED_EVERY_MS: u64 = 1000;

/// A key, and when it was used last, which changes with every request.
#[derive(Debug)]
pub(super) struct Entry {
    key: Key,
    hash: [u8; 32],
    /// Milliseconds since 1970; 0: never.
    used: AtomicU64,
    /// What of that is in the database.
    written: AtomicU64,
}

impl Entry {
    fn new(record: KeyRecord) -> Self {
        let used = record.key.last_used_at.map_or(0, milliseconds);
        Self {
            key: record.key,
            hash: record.hash,
            used: AtomicU64::new(used),
            written: AtomicU64::new(used),
        }
    }

    pub(super) fn key(&self) -> Key {
        Key {
            last_used_at: moment(self.used.load(Ordering::Relaxed)),
            ..self.key.clone()
        }
    }

    /// True if that is worth being written down.
    pub(super) fn touch(&self, now: SystemTime) -> bool {
        let now = milliseconds(now);
        let before = self.used.load(Ordering::Relaxed);
        if now < before.saturating_add(NOTED_EVERY_MS) {
            return false;
        }
        self.used.store(now, Ordering::Relaxed);
        true
    }
}

/// How long a key is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tenure {
    /// Revoked, expired, or never made.
    Over,
    Until(Duration),
    Unlimited,
}

/// Every key, also revoked ones, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    entries: Vec<Arc<Entry>>,
    by_hash: HashMap<[u8; 32], Arc<Entry>>,
}

impl Book {
    pub(super) fn new(records: Vec<KeyRecord>) -> Self {
        let mut book = Self::default();
        for record in records {
            book.add(record);
        }
        book
    }

    pub(super) fn add(&mut self, record: KeyRecord) {
        let entry = Arc::new(Entry::new(record));
        self.by_hash.insert(entry.hash, Arc::clone(&entry));
        self.entries.push(entry);
    }

    pub(super) fn keys(&self) -> Vec<Key> {
        self.entries.iter().map(|entry| entry.key()).collect()
    }

    /// The key with that hash if it is good for anything.
    pub(super) fn active(&self, hash: &[u8; 32], now: SystemTime) -> Option<&Arc<Entry>> {
        self.by_hash
            .get(hash)
            .filter(|entry| same(&entry.hash, hash) && entry.key.state(now) == KeyState::Active)
    }

    /// How long that key is good.
    pub(super) fn tenure(&self, id: KeyId, now: SystemTime) -> Tenure {
        // They are in the order of their numbers.
        let found = self.entries.binary_search_by_key(&id, |entry| entry.key.id);
        let Some(key) = found
            .ok()
            .and_then(|at| self.entries.get(at))
            .map(|entry| &entry.key)
        else {
            return Tenure::Over;
        };
        match key.expires_at {
            _ if key.state(now) != KeyState::Active => Tenure::Over,
            Some(expires) => Tenure::Until(expires.duration_since(now).unwrap_or_default()),
            None => Tenure::Unlimited,
        }
    }

    /// The one that is not revoked and is called so, or begins so.
    pub(super) fn find(&self, name_or_prefix: &str) -> Option<Key> {
        let live = || self.entries.iter().filter(|entry| entry.key.revoked_at.is_none());
        let named = live().find(|entry| entry.key.name == name_or_prefix);
        named
            .or_else(|| live().find(|entry| entry.key.prefix == name_or_prefix))
            .map(|entry| entry.key())
    }

    /// The same keys, one of them revoked.
    pub(super) fn revoked(&self, id: KeyId, at: SystemTime) -> Self {
        let change = |entry: &Arc<Entry>| {
            let mut key = entry.key();
            if key.id == id {
                key.revoked_at = Some(at);
            }
            let changed = Entry::new(KeyRecord {
                key,
                hash: entry.hash,
            });
            let written = entry.written.load(Ordering::Relaxed);
            changed.written.store(written, Ordering::Relaxed);
            changed
        };
        let mut book = Self::default();
        for entry in &self.entries {
            let entry = if entry.key.id == id {
                Arc::new(change(entry))
            } else {
                Arc::clone(entry)
            };
            book.by_hash.insert(entry.hash, Arc::clone(&entry));
            book.entries.push(entry);
        }
        book
    }

    /// Uses that the database does not know; it is told now.
    pub(super) fn unwritten(&self) -> Vec<(KeyId, SystemTime)> {
        let unwritten = |entry: &Arc<Entry>| {
            let used = entry.used.load(Ordering::Relaxed);
            let written = entry.written.swap(used, Ordering::Relaxed);
            (used != written).then(|| Some((entry.key.id, moment(used)?)))?
        };
        self.entries.iter().filter_map(unwritten).collect()
    }
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn moment(milliseconds: u64) -> Option<SystemTime> {
    (milliseconds > 0).then(|| UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)))?
}
