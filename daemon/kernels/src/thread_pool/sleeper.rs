//! A thread that waits for another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Looks this often before it looks at the clock.
const LOOKS: usize = 64;

/// Where one thread waits at a time.
#[derive(Default)]
pub(super) struct Sleeper {
    is_asleep: AtomicBool,
    thread: Mutex<Option<Thread>>,
}

impl Sleeper {
    /// Returns when `is_ready`, for which it looks during `patience` before it sleeps. Whoever makes
    /// it so calls [`Sleeper::wake`] afterwards; both by sequentially consistent operations.
    pub(super) fn wait_until(&self, patience: Duration, mut is_ready: impl FnMut() -> bool) {
        if is_ready() || (!patience.is_zero() && looks(patience, &mut is_ready)) {
            return;
        }
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current());
        loop {
            self.is_asleep.store(true, Ordering::SeqCst);
            if is_ready() {
                break;
            }
            std::thread::park();
        }
        self.is_asleep.store(false, Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(super) fn is_asleep(&self) -> bool {
        self.is_asleep.load(Ordering::SeqCst)
    }

    /// Wakes the thread that sleeps here, if there is one.
    pub(super) fn wake(&self) {
        if self.is_asleep.load(Ordering::SeqCst) && self.is_asleep.swap(false, Ordering::SeqCst) {
            let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
            thread.iter().for_each(Thread::unpark);
        }
    }
}

fn looks(patience: Duration, is_ready: &mut impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < patience {
        for _ in 0..LOOKS {
            if is_ready() {
                return true;
            }
            std::hint::spin_loop();
        }
    }
    false
}
