//! One content on its way.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Url;

use super::Wanted;
use super::chunks::{Chunks, Todo};
use super::hash::Hasher;
use crate::downloads::claims::Claim;

/// Everything that is known of it.
pub(super) struct Part {
    pub(super) wanted: Wanted,
    pub(super) file: PathBuf,
    pub(super) chunks: Chunks,
    pub(super) todo: Todo,
    /// Spans under way.
    pub(super) in_flight: usize,
    /// Where requests may be sent directly.
    pub(super) direct: Option<Url>,
    /// The hub sends it in one piece only.
    pub(super) whole: bool,
    /// `None` while a thread has it.
    pub(super) hasher: Option<Hasher>,
    /// Something is in the file that is not known to be on the disk.
    pub(super) dirty: bool,
    pub(super) syncing: bool,
    /// It turned out to be wrong once.
    pub(super) refetched: bool,
    /// Checked and written down.
    pub(super) sha256: Option<String>,
    /// Given up when it is done.
    pub(super) claim: Option<Claim>,
}

impl Part {
    pub(super) fn new(wanted: Wanted, file: PathBuf, chunks: Chunks, refetched: bool, claim: Claim) -> Self {
        Self {
            hasher: Some(Hasher::new(wanted.content.digest, wanted.content.size)),
            todo: chunks.missing(),
            wanted,
            file,
            chunks,
            in_flight: 0,
            direct: None,
            whole: false,
            dirty: false,
            syncing: false,
            refetched,
            sha256: None,
            claim: Some(claim),
        }
    }

    /// Bytes of the disk that it still needs. What was written but not kept counts as written: it
    /// is overwritten where it is.
    pub(super) fn lacks(&self) -> u64 {
        let written = airunner_platform::disk::occupied_space(&self.file);
        self.wanted
            .content
            .size
            .saturating_sub(written.max(self.chunks.bytes()))
    }

    pub(super) fn is_done(&self) -> bool {
        self.sha256.is_some()
    }

    /// True if a thread should hash what came in.
    pub(super) fn can_hash(&self) -> bool {
        let behind = |hasher: &Hasher| hasher.at() < self.chunks.prefix();
        !self.is_done() && self.hasher.as_ref().is_some_and(behind)
    }

    /// True if everything is on the disk and hashed.
    pub(super) fn is_complete(&self) -> bool {
        let hashed = |hasher: &Hasher| hasher.at() == self.wanted.content.size;
        !self.is_done()
            && self.chunks.is_full()
            && !self.dirty
            && !self.syncing
            && self.in_flight == 0
            && self.hasher.as_ref().is_some_and(hashed)
    }

    /// One of its spans is over; `refused` if the hub sends whole files only. What such spans
    /// leave is asked for again, in one piece, when no other span is under way.
    pub(super) fn span_ended(&mut self, refused: bool) {
        self.in_flight -= 1;
        self.whole |= refused;
        if self.whole && self.in_flight == 0 {
            self.todo = self.chunks.missing();
        }
    }

    /// All over again. Bytes that no longer count come back.
    pub(super) fn restart(&mut self) -> u64 {
        let lost = self.chunks.bytes();
        self.chunks = Chunks::new(self.wanted.content.size, &[]);
        self.todo = self.chunks.missing();
        self.hasher = Some(Hasher::new(self.wanted.content.digest, self.wanted.content.size));
        self.refetched = true;
        self.direct = None;
        lost
    }
}

/// How many spans may be under way: fewer when the hub shows that it is too much, more again as
/// they succeed.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    allowed: usize,
    successes: usize,
    /// Spans that wait to try again, and why.
    pub(super) troubled: BTreeMap<u64, airunner_core::Fault>,
}

impl Pace {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.max(1),
            allowed: limit.max(1),
            successes: 0,
            troubled: BTreeMap::new(),
        }
    }

    pub(super) const fn allowed(&self) -> usize {
        self.allowed
    }

    pub(super) fn trouble(&mut self, span: u64, fault: airunner_core::Fault) {
        // Many at once are one sign, not many.
        if self.troubled.is_empty() {
            self.allowed = (self.allowed / 2).max(1);
        }
        self.successes = 0;
        self.troubled.insert(span, fault);
    }

    pub(super) fn fine(&mut self, span: u64) {
        self.troubled.remove(&span);
    }

    pub(super) fn success(&mut self, span: u64) {
        self.fine(span);
        self.successes += 1;
        if self.successes >= self.allowed && self.allowed < self.limit {
            self.allowed += 1;
            self.successes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downloads::claims::Claims;
    use crate::downloads::digest::Digest;
    use crate::downloads::hub::{Content, Place, Repository};
    use airunner_core::Fault;

    fn part(chunks: u64) -> Part {
        let digest = Digest::from_hex(&"ab".repeat(32)).unwrap();
        let size = chunks * crate::downloads::fetch::chunks::CHUNK;
        let place = Place {
            repository: Repository::parse("team/tiny").unwrap(),
            commit: "0123".to_owned(),
            path: "model.onnx".to_owned(),
        };
        let content = Content { size, digest };
        let claim = Claims::default().try_claim(digest).unwrap();
        Part::new(
            Wanted { place, content },
            PathBuf::new(),
            Chunks::new(size, &[]),
            false,
            claim,
        )
    }

    #[test]
    fn what_was_refused_is_asked_for_again_whoever_ends_last() {
        for refused_first in [true, false] {
            let mut part = part(4);
            let refused = part.todo.take(2).unwrap();
            let given = part.todo.take(2).unwrap();
            part.in_flight = 2;
            part.span_ended(refused_first);
            assert_eq!(part.todo.left(), 0, "another is under way");
            for chunk in given {
                part.chunks.set(chunk);
            }
            part.span_ended(!refused_first);
            assert!(part.whole);
            assert_eq!(part.todo.take_all(), Some(refused));
        }
    }

    #[test]
    fn trouble_slows_down_and_success_speeds_up() {
        let mut pace = Pace::new(8);
        for span in 0..8 {
            pace.trouble(span, Fault::internal("busy"));
        }
        assert_eq!((pace.allowed(), pace.troubled.len()), (4, 8));
        for span in 0..8 {
            pace.fine(span);
        }
        pace.trouble(9, Fault::internal("busy"));
        pace.trouble(10, Fault::internal("busy"));
        assert_eq!(pace.allowed(), 2);
        for span in 9..200 {
            pace.success(span);
        }
        assert_eq!((pace.allowed(), pace.troubled.len()), (8, 0));
    }
}
