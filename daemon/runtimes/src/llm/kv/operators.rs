//! The blocks that our own attention keeps inside a run of ONNX Runtime.

use std::sync::Arc;

use airunner_kernels::attention::AttentionError;

use super::blocks::BlockId;
use super::paged::{Extent, Pages};
use crate::llm::ComputeError;
use crate::operators::paged::{Paged, Placed};

impl Pages for Arc<Paged> {
    fn allocate(&mut self, blocks: usize) -> Result<(), ComputeError> {
        Paged::allocate(self, blocks).map_err(failed)
    }

    fn copy(&mut self, from: BlockId, to: BlockId) -> Result<(), ComputeError> {
        self.copy_block(from, to).map_err(failed)
    }

    fn give_back(&mut self, blocks: &[BlockId]) {
        Paged::give_back(self, blocks);
    }

    fn read(&self, block: BlockId, bytes: &mut Vec<u8>) -> bool {
        self.read_block(block, bytes)
    }

    fn write(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), ComputeError> {
        let is_written = self.write_block(block, bytes);
        let failed = || ComputeError::Interface("a block of its cache is of another size".to_owned());
        is_written.then_some(()).ok_or_else(failed)
    }

    fn set_step(&mut self, sequences: Vec<Extent>) -> Result<(), ComputeError> {
        let placed = sequences.into_iter().map(|extent| Placed {
            first_row: extent.first_row,
            rows: extent.rows,
            past: extent.past,
            blocks: extent.blocks,
        });
        Paged::set_step(self, placed.collect());
        Ok(())
    }
}

fn failed(error: AttentionError) -> ComputeError {
    if let AttentionError::Memory { blocks, block_bytes } = error {
        let bytes = blocks.saturating_mul(block_bytes);
        return ComputeError::OutOfMemory { bytes };
    }
    ComputeError::Interface(error.to_string())
}
