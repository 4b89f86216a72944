//! Getting contents onto the disk: in parallel parts over all of them, checked, and so that a
//! crash at any point loses next to nothing.
//!
//! One loop owns the state. Connections run as tasks of their own; hashing and flushing run on
//! threads that may block. A chunk is written down as here only after it was flushed to the disk.

mod chunks;
mod hash;
mod part;
mod ready;
mod span;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use airunner_core::memory::display_bytes;
use airunner_core::{ErrorKind, Fault};
use reqwest::Url;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::area::{Area, at};
use super::bandwidth::Bandwidth;
use super::claims::Claims;
use super::digest::Digest;
use super::hub::{Content, Hub, HubCache, Place};
use crate::storage::{ContentRecord, DownloadFileRecord, Storage};
use chunks::Chunks;
use hash::Hasher;
use part::{Pace, Part};
use span::{News, Span, SpanError};

/// What every fetch needs; one for the whole daemon.
pub(super) struct Tools {
    pub(super) hub: Hub,
    pub(super) cache: HubCache,
    pub(super) area: Area,
    pub(super) storage: Storage,
    pub(super) bandwidth: Bandwidth,
    pub(super) claims: Claims,
    /// One permit per connection.
    pub(super) connections: Semaphore,
    /// Permits there are.
    pub(super) limit: usize,
    /// One permit per check of an installed model: each reads all of it.
    pub(super) checks: Semaphore,
    /// The daemon ends.
    pub(super) ending: CancellationToken,
}

/// A content and where it is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// How far a fetch is; read by others at any time.
#[derive(Debug, Default)]
pub(super) struct Progress {
    done: AtomicU64,
}

impl Progress {
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn take_back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn reset(&self) {
        self.set(0);
    }

    pub(super) fn set(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }
}

/// What somebody who watches a fetch should know.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Notice {
    Running,
    /// Everything waits to try again, for this.
    Waiting(Fault),
    /// All bytes are here.
    Verifying,
    /// The file under way.
    File(String),
}

/// A span is never longer than so many chunks, so that a lost connection loses little of its
/// work and the beginning of a file is complete early.
const LONGEST_SPAN: u32 = 16;
/// How often chunks are flushed and written down.
const SYNC_EVERY: Duration = Duration::from_millis(250);
/// Room that is left on the disk for everybody else.
const HEADROOM: u64 = 64 << 20;
/// A fetch under way stops when so little is left.
const LEAST_ROOM: u64 = 16 << 20;

/// Returns the SHA-256 of every content when all of them are in the area, whole and checked.
/// What is here stays here whatever happens.
pub(super) async fn fetch(
    tools: &Arc<Tools>,
    wanted: Vec<Wanted>,
    progress: &Arc<Progress>,
    notices: &mpsc::Sender<Notice>,
    cancel: &CancellationToken,
) -> Result<HashMap<Digest, String>, Fault> {
    let mut sums = HashMap::new();
    let mut left = unique(wanted);
    loop {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for wanted in left {
            match tools.claims.try_claim(wanted.content.digest) {
                Some(claim) => mine.push((wanted, claim)),
                None => theirs.push(wanted),
            }
        }
        let mut fetch = Fetch::new(tools, progress, notices);
        for (wanted, claim) in mine {
            let part = ready::prepare(tools, wanted, claim, cancel).await?;
            progress.add(part.chunks.bytes());
            fetch.parts.push(part);
        }
        for part in fetch.run(cancel).await? {
            sums.extend(part.sha256.map(|sha256| (part.wanted.content.digest, sha256)));
        }
        let Some(first) = theirs.first() else {
            return Ok(sums);
        };
        tokio::select! {
            () = tools.claims.released(first.content.digest) => {}
            () = cancel.cancelled() => return Err(stopped()),
        }
        left = theirs;
    }
}

/// How many bytes of these files are here; nothing is looked at but what was written down.
pub(super) async fn bytes_here(storage: &Storage, files: &[DownloadFileRecord]) -> Result<u64, Fault> {
    let mut sizes: Vec<(&str, u64)> = files
        .iter()
        .map(|file| (file.digest.as_str(), file.size))
        .collect();
    sizes.sort_unstable();
    sizes.dedup();
    let mut bytes = 0;
    for (digest, size) in sizes {
        let record = storage.content(digest.to_owned()).await?;
        bytes += Chunks::new(size, &record.chunks).bytes();
    }
    Ok(bytes)
}

fn unique(mut wanted: Vec<Wanted>) -> Vec<Wanted> {
    // Small ones first: settings are here at once, and the last bytes belong to one large file.
    wanted.sort_by_key(|wanted| (wanted.content.size, wanted.content.digest));
    wanted.dedup_by_key(|wanted| wanted.content.digest);
    wanted
}

fn stopped() -> Fault {
    Fault::new(ErrorKind::Cancelled, "the download was stopped")
}

type SpanEnd = (u64, usize, Range<u32>, Result<Option<Url>, SpanError>);

/// Something that was done on a thread.
enum Work {
    Hashed {
        part: usize,
        outcome: Result<Hasher, Fault>,
    },
    Synced {
        part: usize,
        outcome: Result<(), Fault>,
    },
}

struct Fetch<'f> {
    tools: &'f Arc<Tools>,
    progress: &'f Progress,
    notices: &'f mpsc::Sender<Notice>,
    parts: Vec<Part>,
    pace: Pace,
    spans: JoinSet<SpanEnd>,
    works: JoinSet<Work>,
    count: u64,
    /// The file that was asked for last.
    file: String,
    last: Notice,
    news: (mpsc::Sender<News>, mpsc::Receiver<News>),
    looked_for_room: Instant,
}

impl<'f> Fetch<'f> {
    fn new(tools: &'f Arc<Tools>, progress: &'f Progress, notices: &'f mpsc::Sender<Notice>) -> Self {
        Self {
            tools,
            progress,
            notices,
            parts: Vec::new(),
            pace: Pace::new(tools.limit),
            spans: JoinSet::new(),
            works: JoinSet::new(),
            count: 0,
            file: String::new(),
            last: Notice::Running,
            news: mpsc::channel(64),
            looked_for_room: Instant::now(),
        }
    }

    async fn run(mut self, cancel: &CancellationToken) -> Result<Vec<Part>, Fault> {
        let outcome = self.fetch_all(cancel).await;
        // What was written is kept, whatever comes next.
        self.spans.shutdown().await;
        self.keep().await;
        outcome.map(|()| self.parts)
    }

    async fn fetch_all(&mut self, cancel: &CancellationToken) -> Result<(), Fault> {
        self.check_room(HEADROOM)?;
        let mut tick = tokio::time::interval(SYNC_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.parts.iter().all(Part::is_done) {
            self.start_spans();
            self.start_hashing();
            self.finish_parts().await?;
            self.tell().await;
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(stopped()),
                Some(news) = self.news.1.recv() => self.hear(news),
                Some(ended) = self.spans.join_next() => self.span_ended(joined(ended)?)?,
                Some(work) = self.works.join_next() => self.work_done(joined(work)?)?,
                _ = tick.tick() => self.sync_all()?,
            }
        }
        Ok(())
    }

    fn start_spans(&mut self) {
        while self.spans.len() < self.pace.allowed() {
            let left: u32 = self.parts.iter().map(|part| part.todo.left()).sum();
            // Shorter and shorter, so that all connections end at about the same time.
            let share = left / u32::try_from(2 * self.tools.limit).unwrap_or(u32::MAX).max(1);
            let most = share.clamp(1, LONGEST_SPAN);
            let next = self.parts.iter_mut().enumerate().find_map(|(index, part)| {
                if part.whole && part.in_flight > 0 {
                    return None;
                }
                let chunks = if part.whole {
                    part.todo.take_all()
                } else {
                    part.todo.take(most)
                };
                chunks.map(|chunks| (index, chunks))
            });
            let Some((index, chunks)) = next else {
                return;
            };
            self.start_span(index, chunks);
        }
    }

    fn start_span(&mut self, index: usize, chunks: Range<u32>) {
        let part = &mut self.parts[index];
        part.in_flight += 1;
        self.count += 1;
        let span = Span {
            id: self.count,
            part: index,
            place: part.wanted.place.clone(),
            file: part.file.clone(),
            size: part.wanted.content.size,
            chunks: chunks.clone(),
            whole: part.whole,
            direct: part.direct.clone(),
        };
        if self.file != span.place.path {
            self.file.clone_from(&span.place.path);
            // Whoever shows it can do without one.
            drop(self.notices.try_send(Notice::File(self.file.clone())));
        }
        let (id, tools, news) = (self.count, Arc::clone(self.tools), self.news.0.clone());
        self.spans
            .spawn(async move { (id, index, chunks, span::fetch(&tools, span, news).await) });
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Written { part, chunk } => {
                let part = &mut self.parts[part];
                self.progress.add(part.chunks.set(chunk));
                part.dirty = true;
            }
            News::Trouble { span, fault } => self.pace.trouble(span, fault),
            News::Fine { span } => self.pace.fine(span),
        }
    }

    fn span_ended(&mut self, (id, index, chunks, outcome): SpanEnd) -> Result<(), Fault> {
        // What it said before its end must be known first.
        while let Ok(news) = self.news.1.try_recv() {
            self.hear(news);
        }
        let part = &mut self.parts[index];
        part.span_ended(matches!(outcome, Err(SpanError::NoRanges)));
        match outcome {
            Ok(direct) => {
                part.direct = direct.or_else(|| part.direct.take());
                self.pace.success(id);
                Ok(())
            }
            Err(SpanError::NoRanges) => {
                tracing::debug!(
                    file = part.wanted.place.path,
                    ?chunks,
                    "the hub sends whole files only"
                );
                self.pace.fine(id);
                Ok(())
            }
            Err(SpanError::Given(fault)) => Err(fault),
        }
    }

    fn start_hashing(&mut self) {
        for (index, part) in self.parts.iter_mut().enumerate() {
            if !part.can_hash() {
                continue;
            }
            let Some(mut hasher) = part.hasher.take() else {
                continue;
            };
            let (file, end) = (part.file.clone(), part.chunks.prefix());
            self.works.spawn_blocking(move || {
                let outcome = hasher.read_to(&file, end).map_err(at("read", &file));
                Work::Hashed {
                    part: index,
                    outcome: outcome.map(|()| hasher),
                }
            });
        }
    }

    /// Flushes every file that was written to, and then writes down what is in it.
    fn sync_all(&mut self) -> Result<(), Fault> {
        for index in 0..self.parts.len() {
            if self.parts[index].dirty && !self.parts[index].syncing {
                self.sync(index);
            }
        }
        if self.looked_for_room.elapsed() >= Duration::from_secs(1) {
            self.looked_for_room = Instant::now();
            self.check_room(LEAST_ROOM)?;
        }
        Ok(())
    }

    fn sync(&mut self, index: usize) {
        let part = &mut self.parts[index];
        part.dirty = false;
        part.syncing = true;
        let (file, digest) = (part.file.clone(), part.wanted.content.digest.to_string());
        let record = ContentRecord {
            chunks: part.chunks.bits().to_vec(),
            sha256: None,
            refetched: part.refetched,
        };
        let storage = self.tools.storage.clone();
        self.works.spawn(async move {
            let flushed = tokio::task::spawn_blocking(move || {
                let opened = std::fs::File::options().write(true).open(&file);
                opened
                    .and_then(|opened| opened.sync_data())
                    .map_err(at("write", &file))
            });
            let outcome = match flushed.await {
                Ok(Ok(())) => storage.put_content(digest, record).await,
                Ok(Err(fault)) => Err(fault),
                Err(error) => Err(Fault::internal(format!("writing failed: {error}"))),
            };
            Work::Synced { part: index, outcome }
        });
    }

    fn work_done(&mut self, work: Work) -> Result<(), Fault> {
        match work {
            Work::Hashed { part, outcome } => self.parts[part].hasher = Some(outcome?),
            Work::Synced { part, outcome } => {
                self.parts[part].syncing = false;
                outcome?;
            }
        }
        Ok(())
    }

    async fn finish_parts(&mut self) -> Result<(), Fault> {
        for index in 0..self.parts.len() {
            let part = &self.parts[index];
            if part.chunks.is_full() && part.dirty && !part.syncing {
                self.sync(index);
            } else if part.is_complete() {
                self.check(index).await?;
            }
        }
        Ok(())
    }

    /// All bytes are here: are they the right ones?
    async fn check(&mut self, index: usize) -> Result<(), Fault> {
        let part = &mut self.parts[index];
        let digest = part.wanted.content.digest.to_string();
        let sum = part.hasher.take().and_then(Hasher::finish);
        let wrong = sum.is_none();
        if wrong && part.refetched {
            let fault = part_is_wrong(part);
            self.tools
                .storage
                .put_content(digest, ContentRecord::default())
                .await?;
            self.tools.area.remove(&part.wanted.content.digest)?;
            self.progress.take_back(part.chunks.bytes());
            return Err(fault);
        }
        if wrong {
            tracing::warn!(
                file = part.wanted.place.path,
                "what was received is not what the hub declared: it is fetched once more"
            );
            self.progress.take_back(part.restart());
        }
        let record = ContentRecord {
            chunks: part.chunks.bits().to_vec(),
            sha256: sum.clone(),
            refetched: part.refetched,
        };
        self.tools.storage.put_content(digest, record).await?;
        if let Some(sum) = sum {
            part.sha256 = Some(sum);
            part.claim = None;
        }
        Ok(())
    }

    fn check_room(&self, reserve: u64) -> Result<(), Fault> {
        let missing: u64 = self.parts.iter().map(Part::lacks).fold(0, u64::saturating_add);
        match self.tools.area.room() {
            Some(room) if missing > 0 && room < missing.saturating_add(reserve) => {
                Err(no_room(self.tools, missing.saturating_add(reserve), room))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Flushes and writes down everything that is in the files.
    async fn keep(&mut self) {
        while let Ok(news) = self.news.1.try_recv() {
            self.hear(news);
        }
        // A flush under way knows less than the one that follows it.
        self.end_works().await;
        for index in 0..self.parts.len() {
            if self.parts[index].dirty {
                self.sync(index);
            }
        }
        self.end_works().await;
    }

    async fn end_works(&mut self) {
        while let Some(work) = self.works.join_next().await {
            if let Ok(Work::Synced {
                outcome: Err(fault), ..
            }) = work
            {
                tracing::warn!(error = %fault, "a part of a download could not be kept");
            }
        }
    }

    async fn tell(&mut self) {
        let all_here = self.parts.iter().all(|part| part.chunks.is_full());
        let waits = !self.spans.is_empty() && self.pace.troubled.len() == self.spans.len();
        let notice = match self.pace.troubled.values().next() {
            Some(fault) if waits => Notice::Waiting(fault.clone()),
            Some(_) | None if all_here => Notice::Verifying,
            Some(_) | None => Notice::Running,
        };
        if std::mem::discriminant(&notice) != std::mem::discriminant(&self.last) {
            self.last = notice.clone();
            drop(self.notices.send(notice).await);
        }
    }
}

fn joined<T>(outcome: Result<T, tokio::task::JoinError>) -> Result<T, Fault> {
    outcome.map_err(|error| Fault::internal(format!("a part of a download failed: {error}")))
}

fn part_is_wrong(part: &Part) -> Fault {
    Fault::new(
        ErrorKind::VerificationFailed,
        format!(
            "{} is not what {} declares, twice: the hub, or something between it and this machine, is wrong; try \
             again later",
            part.wanted.place.path, part.wanted.place.repository
        ),
    )
}

fn no_room(tools: &Tools, needed: u64, available: u64) -> Fault {
    Fault::new(
        ErrorKind::DiskFull,
        format!(
            "the download needs {} and the disk of {} has {}: make room, then resume it",
            display_bytes(needed),
            tools.area.directory().display(),
            display_bytes(available)
        ),
    )
    .figure("required_bytes", needed)
    .figure("available_bytes", available)
}
