//! Memory of the keys and values of one layer.

use super::{AttentionError, Geometry};
use memmap2::{MmapMut, MmapOptions};

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
        self.bytes().chunks_exact(bytes).nth(block as usize)
    }

    #[must_use]
    pub fn block_mut(&mut self, block: u32) -> Option<&mut [u8]> {
        let bytes = self.geometry.block_bytes();
        self.bytes_mut().chunks_exact_mut(bytes).nth(block as usize)
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
        self.bytes_mut()
            .copy_within(from..from + bytes, to as usize * bytes);
        Ok(())
    }

    /// Gives the memory of a block back, as far as it can be given back alone. What the block
    /// holds afterwards is not to be read before it is written.
    pub fn give_back(&mut self, block: u32) {
        #[cfg(unix)]
        if (block as usize) < self.blocks {
            let bytes = self.geometry.block_bytes();
            self.memory.give_back(block as usize * bytes, bytes);
        }
        #[cfg(not(unix))]
        let _: u32 = block;
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory.0[..self.blocks * self.geometry.block_bytes()]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.blocks * self.geometry.block_bytes();
        &mut self.memory.0[..bytes]
    }
}

/// Zeroed pages of their own: they take no space until they are written, and go back at once.
#[derive(Debug)]
struct Memory(MmapMut);

impl Memory {
    fn zeroed(length: usize) -> Option<Self> {
        // Room for what all sequences could need together is more than many machines have.
        let mut options = MmapOptions::new();
        options.len(length.max(1)).no_reserve_swap();
        let memory = options.map_anon().ok()?;
        #[cfg(target_os = "linux")]
        if length >= WORTH_HUGE_PAGES {
            // A long context is read in pieces of a page, and to find a page in memory takes as
            // long as to read it. Where there are no huge pages, small ones do.
            drop(memory.advise(memmap2::Advice::HugePage));
        }
        Some(Self(memory))
    }

    /// Lets the system take the pages that lie wholly in a range; they are zero afterwards.
    #[cfg(unix)]
    fn give_back(&mut self, from: usize, bytes: usize) {
        let start = from.next_multiple_of(PAGE);
        let end = (from + bytes) / PAGE * PAGE;
        if start < end {
            #[expect(unsafe_code, reason = "memmap2 leaves it to the caller")]
            // SAFETY: the pages are private and anonymous, so that they read as zero afterwards,
            // and nobody looks at them while they are borrowed here.
            let advised = unsafe {
                let advice = memmap2::UncheckedAdvice::DontNeed;
                self.0.unchecked_advise_range(advice, start, end - start)
            };
            // The pages stay, which is as good as before.
            drop(advised);
        }
    }
}

/// From here on what is written needs many huge pages anyway, and the last of them, of which only a
/// part is used, does not matter.
#[cfg(target_os = "linux")]
const WORTH_HUGE_PAGES: usize = 64 << 20;

/// At least the size of a page.
#[cfg(unix)]
const PAGE: usize = 64 << 10;

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
    fn memory_that_was_given_back_can_be_written_again() {
        let mut pool = pool(300).unwrap();
        for block in 0..300 {
            pool.block_mut(block).unwrap().fill(3);
        }
        (0..301).for_each(|block| pool.give_back(block));
        pool.block_mut(299).unwrap().fill(4);
        assert!(pool.block(299).unwrap().iter().all(|&byte| byte == 4));
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
