//! Which parts of a content are here, and which are to be asked for next.

use std::collections::VecDeque;
use std::ops::Range;

/// The grain of what is remembered, bytes: so much is fetched again after a crash, per
/// connection.
pub(super) const CHUNK: u64 = 1 << 20;

/// What is here of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunks {
    size: u64,
    /// A bit per chunk, the lowest first.
    bits: Vec<u8>,
    /// Chunks before this are all here.
    prefix: u32,
    count: u32,
}

impl Chunks {
    /// As it was written down; what does not fit the size counts as nothing.
    pub(super) fn new(size: u64, written: &[u8]) -> Self {
        let total = total(size);
        let bytes = total.div_ceil(8) as usize;
        let mut chunks = Self {
            size,
            bits: vec![0; bytes],
            prefix: 0,
            count: 0,
        };
        if written.len() == bytes {
            for chunk in 0..total {
                if written[chunk as usize / 8] & (1 << (chunk % 8)) != 0 {
                    chunks.set(chunk);
                }
            }
        }
        chunks
    }

    pub(super) fn bits(&self) -> &[u8] {
        &self.bits
    }

    pub(super) fn has(&self, chunk: u32) -> bool {
        self.bits
            .get(chunk as usize / 8)
            .is_some_and(|byte| byte & (1 << (chunk % 8)) != 0)
    }

    /// Bytes that came in; 0 if it was here or is no chunk of this.
    pub(super) fn set(&mut self, chunk: u32) -> u64 {
        if chunk >= total(self.size) || self.has(chunk) {
            return 0;
        }
        self.bits[chunk as usize / 8] |= 1 << (chunk % 8);
        self.count += 1;
        while self.prefix < total(self.size) && self.has(self.prefix) {
            self.prefix += 1;
        }
        let range = self.bytes_of(chunk..chunk + 1);
        range.end - range.start
    }

    pub(super) fn is_full(&self) -> bool {
        self.count == total(self.size)
    }

    /// From the beginning without a gap, bytes.
    pub(super) fn prefix(&self) -> u64 {
        self.bytes_of(0..self.prefix).end
    }

    pub(super) fn bytes(&self) -> u64 {
        let last = total(self.size).saturating_sub(1);
        let whole = u64::from(self.count) * CHUNK;
        let short = (u64::from(total(self.size)) * CHUNK).saturating_sub(self.size);
        if self.has(last) { whole - short } else { whole }
    }

    pub(super) fn bytes_of(&self, chunks: Range<u32>) -> Range<u64> {
        let at = |chunk: u32| (u64::from(chunk) * CHUNK).min(self.size);
        at(chunks.start)..at(chunks.end)
    }

    /// What is to be fetched.
    pub(super) fn missing(&self) -> Todo {
        let mut ranges: VecDeque<Range<u32>> = VecDeque::new();
        for chunk in (0..total(self.size)).filter(|chunk| !self.has(*chunk)) {
            match ranges.back_mut() {
                Some(last) if last.end == chunk => last.end += 1,
                Some(_) | None => ranges.push_back(chunk..chunk + 1),
            }
        }
        Todo { ranges }
    }
}

fn total(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK)).unwrap_or(u32::MAX)
}

/// Chunks nobody fetches yet, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Todo {
    ranges: VecDeque<Range<u32>>,
}

impl Todo {
    /// The next, at most so many.
    pub(super) fn take(&mut self, most: u32) -> Option<Range<u32>> {
        let first = self.ranges.front_mut()?;
        let taken = first.start..first.end.min(first.start + most.max(1));
        first.start = taken.end;
        if first.start == first.end {
            self.ranges.pop_front();
        }
        Some(taken)
    }

    /// From the first to the last, with what is between them.
    pub(super) fn take_all(&mut self) -> Option<Range<u32>> {
        let (first, last) = (self.ranges.front()?.start, self.ranges.back()?.end);
        self.ranges.clear();
        Some(first..last)
    }

    pub(super) fn left(&self) -> u32 {
        self.ranges.iter().map(|range| range.end - range.start).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 10 * CHUNK + 5;

    #[test]
    fn what_is_here_reads_back_and_adds_up() {
        let mut chunks = Chunks::new(SIZE, &[]);
        assert_eq!(
            (chunks.set(0), chunks.set(1), chunks.set(10), chunks.set(3)),
            (CHUNK, CHUNK, 5, CHUNK)
        );
        assert_eq!((chunks.set(3), chunks.set(11)), (0, 0));
        assert_eq!((chunks.bytes(), chunks.prefix()), (3 * CHUNK + 5, 2 * CHUNK));
        assert_eq!(Chunks::new(SIZE, chunks.bits()), chunks);
        assert_eq!(Chunks::new(SIZE, &[0xff]).bytes(), 0, "of another size");
        assert_eq!(
            Chunks::new(SIZE, &[0xff, 0xff]).bytes(),
            SIZE,
            "bits beyond the end"
        );
        for chunk in 0..11 {
            chunks.set(chunk);
        }
        assert!(chunks.is_full());
        assert_eq!((chunks.bytes(), chunks.prefix()), (SIZE, SIZE));
    }

    #[test]
    fn nothing_is_whole_at_once() {
        let empty = Chunks::new(0, &[]);
        assert!(empty.is_full());
        assert_eq!((empty.bytes(), empty.prefix(), empty.missing().left()), (0, 0, 0));
    }

    #[test]
    fn what_is_missing_is_handed_out_in_order_and_once() {
        let mut chunks = Chunks::new(SIZE, &[]);
        chunks.set(4);
        let mut todo = chunks.missing();
        assert_eq!(todo.left(), 10);
        let taken: Vec<_> = std::iter::from_fn(|| todo.take(3)).collect();
        assert_eq!(taken, [0..3, 3..4, 5..8, 8..11]);
        assert_eq!(todo.left(), 0);
        let mut todo = chunks.missing();
        assert_eq!((todo.take_all(), todo.take_all()), (Some(0..11), None));
        assert_eq!(chunks.bytes_of(8..11), 8 * CHUNK..SIZE);
    }
}
