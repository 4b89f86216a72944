//! Numbers that tasks write side by side.

use std::marker::PhantomData;
use std::ops::Range;

/// A slice of which every task takes its own part.
pub(super) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

// SAFETY: the slice is borrowed exclusively, and `part` has callers promise that parts which are
// in use at the same time do not overlap.
#[expect(unsafe_code, reason = "tasks write different parts of one slice")]
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            slice: PhantomData,
        }
    }

    /// # Safety
    ///
    /// No part that is in use at the same time may overlap with this one.
    ///
    /// # Panics
    ///
    /// Where the slice does not have all of `range`.
    #[expect(
        unsafe_code,
        clippy::mut_from_ref,
        reason = "tasks write different parts of one slice"
    )]
    #[inline(always)]
    pub(super) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "a part of the slice"
        );
        // SAFETY: within the slice, which outlives `self`; the caller promises the rest.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
