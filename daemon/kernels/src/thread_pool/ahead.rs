//! What a thread that waits can bring near meanwhile.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// As much as stays in a core's own cache beside what else it needs.
const MOST: usize = 512 << 10;

/// What a look asks the memory for: little enough that the next look comes soon.
const AT_ONCE: usize = 8 * LINE;

const LINE: usize = 64;

/// Bytes that a thread will read, as far as is known. Nobody reads them here, and they need not be
/// there any more: the processor is only asked to have them at hand.
#[derive(Default)]
pub(super) struct Ahead {
    start: AtomicPtr<u8>,
    length: AtomicUsize,
}

impl Ahead {
    pub(super) fn set(&self, bytes: &[u8]) {
        self.start.store(bytes.as_ptr().cast_mut(), Ordering::Relaxed);
        self.length.store(bytes.len(), Ordering::Relaxed);
    }

    /// What is to be asked for from now on.
    pub(super) fn begin(&self) -> Asking {
        Asking {
            next: self.start.load(Ordering::Relaxed),
            left: self.length.load(Ordering::Relaxed).min(MOST),
        }
    }
}

/// The way through what a thread will read.
pub(super) struct Asking {
    next: *const u8,
    left: usize,
}

impl Asking {
    /// Asks for a little more.
    pub(super) fn step(&mut self) {
        let bytes = self.left.min(AT_ONCE);
        for line in (0..bytes).step_by(LINE) {
            prefetch(self.next.wrapping_add(line));
        }
        self.next = self.next.wrapping_add(bytes);
        self.left -= bytes;
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
fn prefetch(line: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
    #[expect(unsafe_code, reason = "an instruction that is not safe to call")]
    // SAFETY: it reads nothing, and does nothing where there is no such address.
    unsafe {
        _mm_prefetch::<_MM_HINT_T1>(line.cast());
    }
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
fn prefetch(_: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_asked_for_than_there_is_and_than_stays() {
        for (length, asked) in [(0, 0), (100, 100), (MOST, MOST), (3 * MOST, MOST)] {
            let bytes = vec![0; length];
            let ahead = Ahead::default();
            ahead.set(&bytes);
            let mut asking = ahead.begin();
            for _ in 0..MOST / AT_ONCE + 2 {
                asking.step();
            }
            assert_eq!(
                (asking.left, asking.next),
                (0, bytes.as_ptr().wrapping_add(asked))
            );
        }
    }
}
