//! Blocks without a graph: each place holds a digest of all that came before it, and the logits
//! depend on every place that the block table leads to. So whatever is shared wrongly, or
//! overwritten, changes what is answered.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use ort::value::Tensor;

use super::{BLOCK_TOKENS, Extent, Packed, Pages};
use crate::llm::ComputeError;
use crate::llm::kv::blocks::BlockId;
use crate::llm::session::Model;
use crate::llm::tensor::{Float, Logits};

/// What happened to the blocks, for those who look from outside.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Blocks there are.
    pub(crate) blocks: usize,
    /// The highest block that was ever written, and one more.
    pub(crate) touched: usize,
    pub(crate) copies: usize,
    /// Blocks that came from the disk.
    pub(crate) read: usize,
    pub(crate) given_back: Vec<BlockId>,
    /// Rows and sequences of every run.
    pub(crate) runs: Vec<(usize, usize)>,
    /// Runs from here on fail.
    pub(crate) fails: bool,
    /// There is no memory for blocks from here on.
    pub(crate) lacks_memory: bool,
}

impl Record {
    fn touch(&mut self, block: BlockId) {
        assert!((block as usize) < self.blocks, "a block that is there");
        self.touched = self.touched.max(block as usize + 1);
    }
}

#[derive(Default)]
pub(crate) struct FakePages {
    places: HashMap<(BlockId, usize), u64>,
    step: Vec<Extent>,
    vocabulary: usize,
    record: Arc<Mutex<Record>>,
}

impl FakePages {
    /// Bytes of a block.
    pub(crate) const BLOCK: usize = BLOCK_TOKENS * size_of::<u64>();

    pub(crate) fn new(vocabulary: usize) -> (Self, Arc<Mutex<Record>>) {
        let pages = Self {
            vocabulary,
            ..Self::default()
        };
        let record = Arc::clone(&pages.record);
        (pages, record)
    }

    pub(crate) fn step(&self) -> &[Extent] {
        &self.step
    }

    fn note<R>(&self, note: impl FnOnce(&mut Record) -> R) -> R {
        note(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A digest of everything that one sequence holds, with the places it was read from.
    fn digest(&self, extent: &Extent, length: usize) -> DefaultHasher {
        let mut all = DefaultHasher::new();
        for position in 0..length {
            let place = (extent.blocks[position / BLOCK_TOKENS], position % BLOCK_TOKENS);
            self.places
                .get(&place)
                .expect("every token was computed")
                .hash(&mut all);
        }
        all
    }

    /// The logits behind every row.
    fn compute(&mut self, packed: &Packed) -> Vec<Vec<f32>> {
        let mut logits = Vec::new();
        for extent in self.step.clone() {
            assert_eq!(extent.first_row, logits.len(), "rows without gaps");
            for row in 0..extent.rows {
                let position = extent.past + row;
                let token = packed.tokens[extent.first_row + row];
                assert_eq!(packed.positions[extent.first_row + row], position as i64);
                let mut content = self.digest(&extent, position);
                token.hash(&mut content);
                let block = extent.blocks[position / BLOCK_TOKENS];
                self.note(|record| record.touch(block));
                self.places
                    .insert((block, position % BLOCK_TOKENS), content.finish());
                logits.push(self.logits(&extent, position + 1, token));
            }
        }
        logits
    }

    /// Few different answers, which mostly follow from the last token: so they can be guessed.
    fn logits(&self, extent: &Extent, length: usize, last: i64) -> Vec<f32> {
        let digest = self.digest(extent, length).finish();
        let favourite = if digest.is_multiple_of(5) {
            100 + (digest / 5) as usize % 9
        } else {
            100 + (3 * last as usize + 1) % 9
        };
        let mut logits = vec![0.0; self.vocabulary];
        logits[favourite] = 9.0;
        logits[favourite + 1] = 8.0;
        logits
    }
}

impl Pages for FakePages {
    fn allocate(&mut self, blocks: usize) -> Result<(), ComputeError> {
        self.places.clear();
        self.note(|record| {
            if record.lacks_memory && blocks > 0 {
                record.blocks = 0;
                return Err(ComputeError::OutOfMemory { bytes: blocks << 20 });
            }
            record.blocks = blocks;
            Ok(())
        })
    }

    fn copy(&mut self, from: BlockId, to: BlockId) -> Result<(), ComputeError> {
        self.note(|record| {
            record.copies += 1;
            record.touch(to);
        });
        for place in 0..BLOCK_TOKENS {
            match self.places.get(&(from, place)).copied() {
                Some(content) => self.places.insert((to, place), content),
                None => self.places.remove(&(to, place)),
            };
        }
        Ok(())
    }

    fn give_back(&mut self, blocks: &[BlockId]) {
        self.note(|record| record.given_back = blocks.to_vec());
        self.places.retain(|(block, _), _| !blocks.contains(block));
    }

    fn read(&self, block: BlockId, bytes: &mut Vec<u8>) -> bool {
        let places = (0..BLOCK_TOKENS).map(|place| self.places.get(&(block, place)));
        let mut read =
            |content: Option<&u64>| content.map(|held| bytes.extend_from_slice(&held.to_le_bytes()));
        places.map(&mut read).all(|read| read.is_some())
    }

    fn write(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), ComputeError> {
        self.note(|record| {
            record.read += 1;
            record.touch(block);
        });
        for (place, content) in bytes.as_chunks().0.iter().enumerate() {
            self.places.insert((block, place), u64::from_le_bytes(*content));
        }
        Ok(())
    }

    fn set_step(&mut self, sequences: Vec<Extent>) -> Result<(), ComputeError> {
        self.step = sequences;
        Ok(())
    }

    fn run(&mut self, _: &mut Model, packed: Packed) -> Result<Logits, ComputeError> {
        let sequences = self.step.len();
        let fails = self.note(|record| {
            record.runs.push((packed.tokens.len(), sequences));
            record.fails
        });
        if fails {
            return Err(ComputeError::Interface("it fails".to_owned()));
        }
        let logits = self.compute(&packed);
        let rows: Vec<f32> = packed
            .wanted
            .iter()
            .flat_map(|&row| logits[row as usize].clone())
            .collect();
        let shape = [1, packed.wanted.len(), self.vocabulary];
        let value = Tensor::from_array((shape, rows))?.into_dyn();
        Logits::of_rows(value, Float::F32, packed.wanted.len())
    }
}
