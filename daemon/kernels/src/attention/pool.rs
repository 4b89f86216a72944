//! Memory of the keys and values of one layer.

use super::{AttentionError, Geometry};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Blocks of one layer, all zero at first. The operating system gives a page only when it is
/// first written, so blocks that were never used cost nothing.
#[derive(Debug)]
pub struct Pool {
    geometry: Geometry,
    blocks: usize,
    memory: Memory,
}

impl Pool {
    /// # Errors
    ///
    /// [`AttentionError::Memory`] where that many bytes cannot be had.
    pub fn new(geometry: Geometry, blocks: usize) -> Result<Self, AttentionError> {
        let block_bytes = geometry.block_bytes();
        let memory = block_bytes.checked_mul(blocks).and_then(Memory::zeroed);
        let memory = memory.ok_or(AttentionError::Memory { blocks, block_bytes })?;
        Ok(Self {
            geometry,
            blocks,
            memory,
        })
    }

    #[must_use]
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// How many blocks there are.
    #[must_use]
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes of a block, to be kept elsewhere and written back by
    /// [`block_mut`](Self::block_mut). `None` for a block that is not there.
    #[must_use]
    pub fn block(&self, block: u32) -> Option<&[u8]> {
        let bytes = self.geometry.block_bytes();
        self.memory.bytes().chunks_exact(bytes).nth(block as usize)
    }

    #[must_use]
    pub fn block_mut(&mut self, block: u32) -> Option<&mut [u8]> {
        let bytes = self.geometry.block_bytes();
        self.memory
            .bytes_mut()
            .chunks_exact_mut(bytes)
            .nth(block as usize)
    }

    /// Copies all tokens of a block over those of another.
    ///
    /// # Errors
    ///
    /// [`AttentionError::Block`] where one of the two is not there.
    pub fn copy_block(&mut self, from: u32, to: u32) -> Result<(), AttentionError> {
        for block in [from, to] {
            if block as usize >= self.blocks {
                return Err(AttentionError::Block {
                    sequence: 0,
                    block,
                    blocks: self.blocks,
                });
            }
        }
        let bytes = self.geometry.block_bytes();
        let from = from as usize * bytes;
        self.memory
            .bytes_mut()
            .copy_within(from..from + bytes, to as usize * bytes);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.bytes()
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        self.memory.bytes_mut()
    }
}

/// Bytes that begin where a cache line begins.
#[derive(Debug)]
struct Memory {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the bytes belong to this value alone, like those of a `Vec<u8>`.
#[expect(unsafe_code, reason = "a pointer that is owned")]
unsafe impl Send for Memory {}
// SAFETY: as above; through a shared reference they can only be read.
#[expect(unsafe_code, reason = "a pointer that is owned")]
unsafe impl Sync for Memory {}

#[expect(
    unsafe_code,
    reason = "memory that begins at a cache line and is zero without being touched"
)]
impl Memory {
    const ALIGNMENT: usize = 64;

    fn zeroed(length: usize) -> Option<Self> {
        let layout = Layout::from_size_align(length.max(1), Self::ALIGNMENT).ok()?;
        // SAFETY: the layout has at least one byte.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) })?;
        Some(Self { start, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: `length` bytes were allocated and zeroed there and live as long as this value.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the exclusive borrow is handed on.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Memory {
    #[expect(unsafe_code, reason = "gives back what `zeroed` took")]
    fn drop(&mut self) {
        if let Ok(layout) = Layout::from_size_align(self.length.max(1), Self::ALIGNMENT) {
            // SAFETY: allocated by `zeroed` with this very layout, and not used again.
            unsafe { dealloc(self.start.as_ptr(), layout) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::Element;

    fn pool(blocks: usize) -> Result<Pool, AttentionError> {
        Pool::new(Geometry::new(2, 1, 16, 16, Element::I8)?, blocks)
    }

    #[test]
    fn a_copied_block_has_the_same_bytes() {
        let mut pool = pool(3).unwrap();
        pool.block_mut(2).unwrap().fill(7);
        pool.copy_block(2, 0).unwrap();
        assert!(pool.block(0).unwrap().iter().all(|&byte| byte == 7));
        assert!(pool.block(1).unwrap().iter().all(|&byte| byte == 0));
        assert_eq!(pool.block(0).unwrap().len(), pool.geometry().block_bytes());
    }

    #[test]
    fn blocks_that_are_not_there_are_refused() {
        let mut pool = pool(3).unwrap();
        assert!(pool.block(3).is_none() && pool.block_mut(u32::MAX).is_none());
        assert!(pool.copy_block(0, 3).is_err() && pool.copy_block(3, 0).is_err());
    }

    #[test]
    fn a_pool_can_be_empty_but_not_endless() {
        assert_eq!(pool(0).unwrap().bytes(), &[] as &[u8]);
        for blocks in [usize::MAX, isize::MAX as usize / 600] {
            assert!(matches!(pool(blocks), Err(AttentionError::Memory { .. })));
        }
    }
}
