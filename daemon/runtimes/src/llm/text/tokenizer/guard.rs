//! Running a stranger's rules: a panic is an answer, and so is running out of time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::TokenizerError;

/// At most so many threads may be stuck before no other is tried.
const STUCK_LIMIT: usize = 2;

/// Runs work that may take any amount of time on a thread of its own, and stops waiting for it at
/// a deadline.
///
/// A thread cannot be ended from outside: a stuck one goes on until its work is done or its
/// process ends, so a second one is the last that is tried.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    limit: Duration,
    stuck: Arc<AtomicUsize>,
}

impl Guard {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            stuck: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// `bytes` is the size of the text in question, for the message.
    pub(super) fn run<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, TokenizerError> {
        let too_slow = TokenizerError::TooSlow {
            bytes,
            limit: self.limit,
        };
        if self.stuck.load(Ordering::Relaxed) >= STUCK_LIMIT {
            return Err(too_slow);
        }
        // Without a buffer, a result is either received or known to be unwanted.
        let (sender, receiver) = sync_channel(0);
        let stuck = Arc::clone(&self.stuck);
        let worker = move || {
            if sender.send(catch(work)).is_err() {
                stuck.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new().name("tokenizer".to_owned());
        thread.spawn(worker).map_err(TokenizerError::NoThread)?;
        match receiver.recv_timeout(self.limit) {
            Ok(Some(result)) => Ok(result),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => Err(TokenizerError::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                self.stuck.fetch_add(1, Ordering::Relaxed);
                Err(too_slow)
            }
        }
    }
}

/// `None` if the work panicked. What it looked at is only read, so nothing is left half done.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}
