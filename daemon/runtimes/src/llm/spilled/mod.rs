//! Keys and values on the disk, so that a conversation that is opened again need not be computed
//! again, and neither need what several have in common after the model was unloaded.
//!
//! Owns a directory that all workers of a daemon share: one part per model and state of its copy,
//! one file per whole block, named by the key over everything before the block and its own tokens.
//! Which blocks are worth keeping, and what a block is, others decide. What lies here can tell what
//! was said: nobody but its owner can read it, and it is only there if that was asked for.
//!
//! Blocks are written by a thread of their own, from copies that wait for it within bounds. The
//! engine copies them a few at a time between its steps and more when it is idle, so that no step
//! waits for a disk and a long conversation never lies in memory twice. Reading is done by the
//! engine's thread, since the step after it needs what was read: a block comes from a disk in a
//! small part of the time it takes to compute it.

mod choice;
mod directory;
mod file;
mod identity;
mod writer;

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use super::kv::Key;
use crate::CacheOnDisk;
use directory::Part;
pub(crate) use identity::{Facts, identity};
use writer::{Job, Writer};

pub use directory::{clear, tidy};

/// Blocks that may be due at once. More are computed again one day.
const MOST_DUE: usize = 1 << 16;

/// What the engine has of the directory.
pub(crate) struct Spilled {
    part: Part,
    block_bytes: usize,
    due: VecDeque<Due>,
    writer: Writer,
    read: Vec<u8>,
}

#[derive(Debug)]
struct Due {
    key: Key,
    used: SystemTime,
}

impl Spilled {
    /// A part for blocks of so many bytes, whose content depends on `identity` beside their keys.
    /// The directory must be there: whoever deletes it wants nothing to be kept.
    pub(crate) fn open(options: &CacheOnDisk, identity: [u8; 32], block_bytes: usize) -> io::Result<Self> {
        let part = Part::open(&options.directory, &options.model, identity)?;
        Ok(Self {
            writer: Writer::start(part.clone(), options.limit)?,
            part,
            block_bytes,
            due: VecDeque::new(),
            read: Vec::new(),
        })
    }

    /// What a block holds, if it lies here whole.
    pub(crate) fn read(&mut self, key: &Key) -> Option<&[u8]> {
        let header = file::HEADER_BYTES;
        let is_whole = self.part.read(key, self.block_bytes, &mut self.read);
        is_whole.then(|| &self.read[header..])
    }

    /// These blocks of one sequence, the first first, are to be on the disk before long.
    pub(crate) fn keep(&mut self, keys: impl Iterator<Item = Key>) {
        self.keep_at(SystemTime::now(), keys);
    }

    fn keep_at(&mut self, now: SystemTime, keys: impl Iterator<Item = Key>) {
        for (place, key) in keys.enumerate() {
            if self.due.len() < MOST_DUE && self.writer.expect(key) {
                let used = choice::stamp(now, place);
                self.due.push_back(Due { key, used });
            }
        }
    }

    /// Hands over as much of what is due as there is room for, at most so many bytes but at least
    /// one block; whether more is due. `fetch` appends what a block holds, if it is still there.
    pub(crate) fn feed(&mut self, most: usize, mut fetch: impl FnMut(&Key, &mut Vec<u8>) -> bool) -> bool {
        let mut copied = 0;
        while copied < most && self.writer.has_room() {
            let Some(Due { key, used }) = self.due.pop_front() else {
                return false;
            };
            if self.part.has(&key) {
                self.writer.send(Job::Touch { key, used });
                continue;
            }
            let mut bytes = self.part.header(&key, self.block_bytes);
            if !self.writer.is_on() || !fetch(&key, &mut bytes) {
                self.writer.give_up(&key);
                continue;
            }
            copied += self.block_bytes;
            self.writer.send(Job::Keep { key, bytes, used });
        }
        !self.due.is_empty()
    }

    /// Hands over everything that is due and waits until it is written, though not for longer.
    pub(crate) fn settle(&mut self, patience: Duration, mut fetch: impl FnMut(&Key, &mut Vec<u8>) -> bool) {
        let deadline = Instant::now() + patience;
        while self.feed(usize::MAX, &mut fetch) {
            if !self.writer.wait_for_room(deadline) {
                break;
            }
        }
        for due in self.due.drain(..) {
            self.writer.give_up(&due.key);
        }
        self.writer.wait_until_written(deadline);
    }
}

#[cfg(test)]
mod tests;
