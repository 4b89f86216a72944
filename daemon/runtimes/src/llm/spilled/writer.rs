//! The thread that writes, and what waits for it.

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use super::choice::Held;
use super::directory::Part;
use crate::llm::kv::Key;

/// Bytes of copies that may wait or be written, beside one block.
const MOST_WAITING: usize = 32 << 20;
/// Blocks that may wait.
const MOST_JOBS: usize = 4096;

pub(super) enum Job {
    /// Header and content of a block.
    Keep {
        key: Key,
        bytes: Vec<u8>,
        used: SystemTime,
    },
    /// A block that lies on the disk was of use.
    Touch { key: Key, used: SystemTime },
}

impl Job {
    fn key(&self) -> &Key {
        match self {
            Self::Keep { key, .. } | Self::Touch { key, .. } => key,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Keep { bytes, .. } => bytes.len(),
            Self::Touch { .. } => 0,
        }
    }
}

/// Dropping it ends the thread after the file it writes.
pub(super) struct Writer {
    jobs: Option<SyncSender<Job>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Blocks that are due, wait, or are being written.
    expected: HashSet<Key>,
    jobs: usize,
    bytes: usize,
    /// Nothing is written any more.
    is_off: bool,
}

impl State {
    fn is_full(&self) -> bool {
        self.jobs >= MOST_JOBS || self.bytes >= MOST_WAITING
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it holds or it is too late; whether it holds.
    fn wait(&self, deadline: Instant, holds: impl Fn(&State) -> bool) -> bool {
        let patience = deadline.saturating_duration_since(Instant::now());
        let waited = self
            .changed
            .wait_timeout_while(self.state(), patience, |state| !holds(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        holds(&state)
    }
}

impl Writer {
    pub(super) fn start(part: Part, limit: u64) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let (jobs, received) = sync_channel(MOST_JOBS);
        let written = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("llm-spill".to_owned())
            .spawn(move || run(&part, limit, &received, &written))?;
        Ok(Self {
            jobs: Some(jobs),
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn is_on(&self) -> bool {
        !self.shared.state().is_off
    }

    /// A block will be sent or given up; false if that is known, or if nothing is written.
    pub(super) fn expect(&self, key: Key) -> bool {
        let mut state = self.shared.state();
        !state.is_off && state.expected.insert(key)
    }

    pub(super) fn give_up(&self, key: &Key) {
        self.shared.state().expected.remove(key);
    }

    pub(super) fn has_room(&self) -> bool {
        !self.shared.state().is_full()
    }

    /// There must be room: only one thread sends.
    pub(super) fn send(&self, job: Job) {
        let (key, bytes) = (*job.key(), job.bytes());
        {
            let mut state = self.shared.state();
            state.jobs += 1;
            state.bytes += bytes;
        }
        let sent = self.jobs.as_ref().map(|jobs| jobs.try_send(job));
        if !matches!(sent, Some(Ok(()))) {
            self.shared.done(&[(key, bytes)]);
        }
    }

    pub(super) fn wait_for_room(&self, deadline: Instant) -> bool {
        self.shared.wait(deadline, |state| !state.is_full())
    }

    pub(super) fn wait_until_written(&self, deadline: Instant) -> bool {
        self.shared.wait(deadline, |state| state.jobs == 0)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.state().is_off = true;
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Shared {
    fn done(&self, jobs: &[(Key, usize)]) {
        let mut state = self.state();
        for (key, bytes) in jobs {
            state.expected.remove(key);
            state.jobs -= 1;
            state.bytes -= bytes;
        }
        self.changed.notify_all();
    }
}

fn run(part: &Part, limit: u64, jobs: &Receiver<Job>, shared: &Shared) {
    while let Ok(first) = jobs.recv() {
        let batch: Vec<Job> = std::iter::once(first).chain(jobs.try_iter()).collect();
        let all: Vec<(Key, usize)> = batch.iter().map(|job| (*job.key(), job.bytes())).collect();
        if !shared.state().is_off
            && let Err(error) = write(part, limit, batch, shared)
        {
            shared.state().is_off = true;
            tell(&error);
        }
        shared.done(&all);
    }
}

/// Writes one batch under the lock, so that all who write keep to the limit together.
fn write(part: &Part, limit: u64, batch: Vec<Job>, shared: &Shared) -> io::Result<()> {
    let lock = part.lock()?;
    let mut added = Vec::new();
    for job in batch {
        match job {
            Job::Keep { key, bytes, used } => added.push((key, bytes, used)),
            Job::Touch { key, used } => part.touch(&key, used),
        }
    }
    if added.is_empty() {
        return Ok(());
    }
    let sizes = added.iter().map(|(_, bytes, used)| Held {
        bytes: bytes.len() as u64,
        used: *used,
    });
    let refused = part.make_room(&lock, &sizes.collect::<Vec<_>>(), limit);
    for (number, (key, bytes, used)) in added.into_iter().enumerate() {
        if shared.state().is_off {
            return Ok(());
        }
        if !refused.contains(&number) {
            part.write(&lock, &key, bytes, used)?;
        }
    }
    Ok(())
}

/// Once, since nothing is written afterwards.
fn tell(error: &io::Error) {
    if error.kind() == io::ErrorKind::NotFound {
        return tracing::info!(
            "the directory of keys and values is gone: this worker keeps none on the disk"
        );
    }
    tracing::warn!(%error, "keys and values cannot be kept on the disk: they are computed again when they are needed");
}
