//! Who may work on the job of the moment.

use std::sync::atomic::{AtomicU64, Ordering};

/// The most helpers.
pub(super) const MOST: usize = (1 << BITS) - 1;

const BITS: u32 = 15;
const OPEN: u64 = 1 << (2 * BITS);
const INSIDE: u64 = (1 << BITS) - 1;

/// One number: which job it is, whether helpers may enter, how many of them may, and how many are
/// inside. So all of it changes at once.
#[derive(Default)]
pub(super) struct Gate(AtomicU64);

impl Gate {
    /// Lets the first `helpers` in for another job.
    pub(super) fn open(&self, helpers: usize) {
        let job = job(self.0.load(Ordering::Relaxed)) + 1;
        let wanted = (helpers.min(MOST) as u64) << BITS;
        self.0
            .store(job << (2 * BITS + 1) | OPEN | wanted, Ordering::SeqCst);
    }

    pub(super) fn close(&self) {
        self.0.fetch_and(!OPEN, Ordering::SeqCst);
    }

    /// Whether nobody is inside.
    pub(super) fn is_empty(&self) -> bool {
        self.0.load(Ordering::SeqCst) & INSIDE == 0
    }

    /// Enters, if this helper may and was not inside for that job, of which it takes note in `last`.
    pub(super) fn enter(&self, helper: usize, last: &mut u64) -> bool {
        let mut now = self.0.load(Ordering::SeqCst);
        loop {
            let wanted = now >> BITS & INSIDE;
            if now & OPEN == 0 || helper as u64 >= wanted || job(now) == *last {
                return false;
            }
            match self
                .0
                .compare_exchange_weak(now, now + 1, Ordering::SeqCst, Ordering::SeqCst)
            {
                Ok(_) => break,
                Err(other) => now = other,
            }
        }
        *last = job(now);
        true
    }

    /// Leaves; whether it was the last one of a job that is closed.
    pub(super) fn leave(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::SeqCst);
        before & (OPEN | INSIDE) == 1
    }
}

fn job(gate: u64) -> u64 {
    gate >> (2 * BITS + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_enter_once_for_each_job_while_it_is_open() {
        let gate = Gate::default();
        let (mut first, mut second) = (0, 0);
        assert!(!gate.enter(0, &mut first), "nothing was opened");
        gate.open(1);
        assert!(gate.enter(0, &mut first));
        assert!(!gate.enter(0, &mut first), "once");
        assert!(!gate.enter(1, &mut second), "one is enough");
        gate.close();
        assert!(!gate.is_empty());
        assert!(gate.leave(), "the last one");
        assert!(gate.is_empty());
        gate.open(2);
        assert!(gate.enter(0, &mut first) && gate.enter(1, &mut second));
        assert!(!gate.leave(), "another one is inside, and it is open");
        gate.close();
        assert!(gate.leave());
        assert!(!gate.enter(0, &mut 0), "it is closed");
    }
}
