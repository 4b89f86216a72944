//! One slice that tasks side by side write different parts of.

use std::marker::PhantomData;
use std::ops::Range;

/// A mutable slice whose parts are handed to tasks.
pub(crate) struct Shared<'a, T> {
    start: *mut T,
    length: usize,
    slice: PhantomData<&'a mut [T]>,
}

#[expect(unsafe_code, reason = "tasks write different parts of one slice")]
// SAFETY: this stands for a `&mut [T]`, which can be sent if `T` can; who gets which part is the
// promise of `Shared::part`.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            slice: PhantomData,
        }
    }

    /// The elements in `range`.
    ///
    /// # Safety
    ///
    /// While the part is borrowed nobody else asks for one of its elements.
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
    pub(crate) unsafe fn part(&self, range: Range<usize>) -> &mut [T] {
        assert!(
            range.start <= range.end && range.end <= self.length,
            "a part of the slice"
        );
        // SAFETY: the range is within the slice that this borrows for as long as it lives, and the
        // caller promises that no other reference to these elements exists.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}
