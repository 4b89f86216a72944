//! Running what a stranger wrote: a panic is an answer, and so is running out of time.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

/// At most so many threads may be stuck before no other is tried.
const STUCK_LIMIT: usize = 2;

/// Why some work has no result.
#[derive(Debug)]
pub(in crate::llm) enum Interrupted {
    /// It took longer than this.
    TooSlow(Duration),
    Panicked,
    NoThread(io::Error),
}

/// Runs work that may take any amount of time on a thread of its own, and stops waiting for it at
/// a deadline.
///
/// A thread cannot be ended from outside: a stuck one goes on until its work is done or its
/// process ends, so a second one is the last that is tried.
#[derive(Clone, Debug)]
pub(in crate::llm) struct Guard {
    name: &'static str,
    limit: Duration,
    stuck: Arc<AtomicUsize>,
}

impl Guard {
    /// The thread's name is what a debugger shows.
    pub(in crate::llm) fn new(name: &'static str, limit: Duration) -> Self {
        Self {
            name,
            limit,
            stuck: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// The same guard with less patience, or more: what is stuck counts for both.
    #[cfg(test)]
    pub(in crate::llm) fn within(&self, limit: Duration) -> Self {
        Self {
            limit,
            ..self.clone()
        }
    }

    /// Only what is used of the stack takes memory.
    pub(in crate::llm) fn run<T: Send + 'static>(
        &self,
        stack_bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Interrupted> {
        if self.stuck.load(Ordering::Relaxed) >= STUCK_LIMIT {
            return Err(Interrupted::TooSlow(self.limit));
        }
        // Without a buffer, a result is either received or known to be unwanted.
        let (sender, receiver) = sync_channel(0);
        let stuck = Arc::clone(&self.stuck);
        let worker = move || {
            if sender.send(catch(work)).is_err() {
                stuck.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let thread = thread::Builder::new()
            .name(self.name.to_owned())
            .stack_size(stack_bytes);
        thread.spawn(worker).map_err(Interrupted::NoThread)?;
        match receiver.recv_timeout(self.limit) {
            Ok(Some(result)) => Ok(result),
            Ok(None) | Err(RecvTimeoutError::Disconnected) => Err(Interrupted::Panicked),
            Err(RecvTimeoutError::Timeout) => {
                self.stuck.fetch_add(1, Ordering::Relaxed);
                Err(Interrupted::TooSlow(self.limit))
            }
        }
    }
}

/// `None` if the work panicked. What it looked at is only read, so nothing is left half done.
pub(super) fn catch<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn stuck_work_is_given_up_and_so_is_the_next_until_it_ends() {
        let guard = Guard::new("test", Duration::from_millis(20));
        let (release, held) = sync_channel::<()>(0);
        let held = Arc::new(Mutex::new(held));
        let stuck = || {
            let held = Arc::clone(&held);
            guard.run(1 << 20, move || held.lock().unwrap().recv().is_ok())
        };
        assert!(matches!(stuck(), Err(Interrupted::TooSlow(_))));
        assert!(matches!(stuck(), Err(Interrupted::TooSlow(_))));
        assert!(
            matches!(guard.run(1 << 20, || 1), Err(Interrupted::TooSlow(_))),
            "not even tried"
        );
        drop(release);
        while guard.run(1 << 20, || 1).is_err() {
            thread::yield_now();
        }
    }

    #[test]
    fn a_panic_is_an_answer() {
        let guard = Guard::new("test", Duration::from_secs(60));
        assert!(matches!(
            guard.run(1 << 20, || -> u8 { panic!("broken") }),
            Err(Interrupted::Panicked)
        ));
        assert_eq!(guard.run(1 << 20, || 7).unwrap(), 7);
    }
}
