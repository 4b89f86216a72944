//! Graphs whose attention reads blocks of keys and values: any sequences share one run, and
//! beginnings that were computed once serve everybody.
//!
//! Which block holds what is decided by the `pool`; the memory belongs to the graph's attention,
//! which is reached through [`Pages`]. What lies on the disk is looked for where the memory holds
//! nothing; whoever writes it gets copies.

use std::time::{Duration, Instant};

use super::blocks::BlockId;
use super::pool::{BlockCopy, Pool};
use super::{Cache, Key, Mixed, Piece, Wanted};
use crate::llm::ComputeError;
use crate::llm::interface::StepInputs;
use crate::llm::session::Model;
use crate::llm::spilled::Spilled;
use crate::llm::tensor::Logits;

/// Tokens of a block. Half a block of each sequence is empty on average, and what two share is
/// cut down to whole ones where it cannot be copied; smaller blocks mean longer tables, more
/// keys, and less work between two looks into the table. 32 tokens are two panels of what the
/// kernels take at a time.
pub(crate) const BLOCK_TOKENS: usize = 32;

/// Room for copies, in blocks beyond the context of a sequence.
const SPARE_BLOCKS: usize = 1;

/// New tokens of one sequence in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Row of the first of them.
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Tokens that are in the blocks already.
    pub(crate) past: usize,
    /// The first tokens first.
    pub(crate) blocks: Vec<BlockId>,
}

/// The blocks of all layers, as the attention of a graph has them.
pub(crate) trait Pages: Send {
    /// Replaces all memory by so many empty blocks, numbered from 0. Untouched they cost nothing.
    fn allocate(&mut self, blocks: usize) -> Result<(), ComputeError>;

    /// Makes one block hold what another holds.
    fn copy(&mut self, from: BlockId, to: BlockId) -> Result<(), ComputeError>;

    /// These hold nothing of use: their memory can go back to the system.
    fn give_back(&mut self, blocks: &[BlockId]);

    /// Appends everything that a block holds; false if it is not there.
    fn read(&self, block: BlockId, bytes: &mut Vec<u8>) -> bool;

    /// Makes a block hold what was read.
    fn write(&mut self, block: BlockId, bytes: &[u8]) -> Result<(), ComputeError>;

    /// What the next run is about, in the order of the rows.
    fn set_step(&mut self, sequences: Vec<Extent>) -> Result<(), ComputeError>;

    /// Computes the rows and gives the logits behind the wanted ones.
    fn run(&mut self, model: &mut Model, packed: Packed) -> Result<Logits, ComputeError> {
        run(model, packed)
    }
}

/// The rows of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    pub(crate) tokens: Vec<i64>,
    pub(crate) positions: Vec<i64>,
    /// Rows whose logits are wanted, in order; at least one.
    pub(crate) wanted: Vec<i64>,
}

pub(crate) struct Paged<P> {
    pages: P,
    pool: Pool,
    room: Room,
    is_allocated: bool,
    spilled: Option<Spilled>,
    read: Reading,
}

/// What was read from the disk since the last step, for all prompts together.
#[derive(Default)]
struct Reading {
    bytes: usize,
    time: Duration,
}

/// The most that is read from the disk before a step, in bytes and in time. What is left is read
/// before the next one. A step of such a prompt takes longer, so nobody at work waits much longer
/// than for a prompt that is computed.
const MOST_READ: usize = 256 << 20;
const READING_TIME: Duration = Duration::from_millis(500);
/// What is copied for the disk between two steps, bytes: less than a thousandth of a second.
const COPIED_BETWEEN_STEPS: usize = 2 << 20;
/// What is copied at once while there is nothing else to do: whoever comes then waits so long.
const COPIED_WHEN_IDLE: usize = 16 << 20;
/// How long the end waits for the disk: the daemon ends a worker that takes much longer.
const SETTLING_TIME: Duration = Duration::from_secs(1);
/// How long whoever wants the memory back waits for it, and others who are at work.
const TRIMMING_TIME: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug)]
struct Room {
    slots: usize,
    blocks: usize,
}

impl Room {
    fn pool(self) -> Pool {
        Pool::new(self.slots, self.blocks, self.blocks, BLOCK_TOKENS)
    }
}

impl<P: Pages> Paged<P> {
    /// All sequences share the blocks that memory is `reserved` for. One alone always has room for
    /// a whole context, and no more are made than all can fill.
    pub(crate) fn new(pages: P, slots: usize, context_length: usize, reserved: usize) -> Self {
        let each = context_length.div_ceil(BLOCK_TOKENS) + SPARE_BLOCKS;
        let blocks = reserved.clamp(each, slots.max(1) * each);
        Self::with_room(pages, Room { slots, blocks })
    }

    #[cfg(test)]
    pub(crate) fn with_blocks(pages: P, slots: usize, blocks: usize) -> Self {
        Self::with_room(pages, Room { slots, blocks })
    }

    fn with_room(pages: P, room: Room) -> Self {
        Self {
            pages,
            pool: room.pool(),
            room,
            is_allocated: false,
            spilled: None,
            read: Reading::default(),
        }
    }

    /// Memory for all blocks, when the first is needed.
    fn allocate(&mut self) -> Result<(), ComputeError> {
        if !self.is_allocated {
            self.pages.allocate(self.room.blocks)?;
            self.is_allocated = true;
        }
        Ok(())
    }

    fn carry_out(&mut self, copy: Option<BlockCopy>) -> Result<(), ComputeError> {
        match copy {
            Some(BlockCopy { from, to }) => self.pages.copy(from, to),
            None => Ok(()),
        }
    }

    /// Puts what lies on the disk of the beginning of `prompt` into blocks, as far as the memory
    /// does not hold it and there is room.
    fn adopt_from_disk(&mut self, slot: usize, prompt: &[u32]) -> Result<(), ComputeError> {
        let Some(spilled) = &mut self.spilled else {
            return Ok(());
        };
        while let Some(key) = self.pool.next_unknown(slot, prompt) {
            let (began, read) = (Instant::now(), &self.read);
            let is_enough = read.bytes >= MOST_READ || (read.bytes > 0 && read.time >= READING_TIME);
            let found = if is_enough { None } else { spilled.read(&key) };
            let Some(bytes) = found else {
                return Ok(());
            };
            let Ok(block) = self.pool.place(slot, prompt) else {
                return Ok(());
            };
            if !self.is_allocated {
                self.pages.allocate(self.room.blocks)?;
                self.is_allocated = true;
            }
            let length = bytes.len();
            self.pages.write(block, bytes)?;
            self.read.bytes += length;
            self.read.time += began.elapsed();
        }
        Ok(())
    }

    fn settle_within(&mut self, patience: Duration) {
        let (pool, pages) = (&self.pool, &self.pages);
        if let Some(spilled) = &mut self.spilled {
            spilled.settle(patience, |key, bytes| Self::fetch(pool, pages, key, bytes));
        }
    }

    /// Finds what is to be put on the disk.
    fn fetch(pool: &Pool, pages: &P, key: &Key, bytes: &mut Vec<u8>) -> bool {
        let block = pool.find(*key);
        block.is_some_and(|block| pages.read(block, bytes))
    }

    fn fork(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        let copy = self.pool.fork(from, to, length).map_err(|_| no_blocks())?;
        let copied = self.carry_out(copy);
        if copied.is_err() {
            self.pool.forget(to);
        }
        copied
    }

    /// Rows of the pieces one behind the other.
    fn pack(&mut self, pieces: &[Piece<'_>]) -> Result<Packed, ComputeError> {
        let mut packed = Packed::default();
        let mut extents = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let (first_row, rows) = (packed.tokens.len(), piece.tokens.len());
            let past = self.pool.length(piece.slot);
            packed
                .tokens
                .extend(piece.tokens.iter().map(|&token| i64::from(token)));
            packed.positions.extend(past as i64..(past + rows) as i64);
            let end = first_row + rows;
            let wanted = match piece.wanted {
                Wanted::Nothing => end..end,
                Wanted::Last => end - 1..end,
                Wanted::All => first_row..end,
            };
            packed.wanted.extend(wanted.map(|row| row as i64));
            extents.push(Extent {
                first_row,
                rows,
                past,
                blocks: self.pool.table(piece.slot)[..(past + rows).div_ceil(BLOCK_TOKENS)].to_vec(),
            });
        }
        if packed.wanted.is_empty() {
            // No graph has to do without rows; nobody looks at this one.
            packed.wanted.push(packed.tokens.len() as i64 - 1);
        }
        self.pages.set_step(extents)?;
        Ok(packed)
    }

    fn compute(
        &mut self,
        model: &mut Model,
        slot: usize,
        tokens: &[u32],
        wanted: Wanted,
    ) -> Result<Logits, ComputeError> {
        let logits = self.step(model, &[Piece { slot, tokens, wanted }])?;
        self.commit(slot, tokens);
        Ok(logits)
    }
}

impl<P: Pages> Mixed for Paged<P> {
    fn begin(&mut self, slot: usize, prompt: &[u32]) -> Result<usize, ComputeError> {
        self.pool.begin(slot, b"");
        self.adopt(slot, prompt)
    }

    fn adopt(&mut self, slot: usize, prompt: &[u32]) -> Result<usize, ComputeError> {
        let adopted = self.adopt_from_disk(slot, prompt).and_then(|()| {
            let copy = self.pool.adopt(slot, prompt);
            self.carry_out(copy)
        });
        if let Err(error) = adopted {
            self.pool.forget(slot);
            return Err(error);
        }
        Ok(self.pool.length(slot))
    }

    fn missing(&self, slot: usize, tokens: usize) -> usize {
        self.pool.missing(slot, tokens)
    }

    fn needed(&self, prompt: &[u32]) -> usize {
        prompt.len().div_ceil(BLOCK_TOKENS) - self.pool.in_use(prompt)
    }

    fn available(&self) -> usize {
        self.pool.available()
    }

    fn step(&mut self, model: &mut Model, pieces: &[Piece<'_>]) -> Result<Logits, ComputeError> {
        for piece in pieces {
            self.pool
                .reserve(piece.slot, piece.tokens.len())
                .map_err(|_| no_blocks())?;
        }
        self.allocate()?;
        self.read = Reading::default();
        let packed = self.pack(pieces)?;
        self.pages.run(model, packed)
    }

    fn commit(&mut self, slot: usize, tokens: &[u32]) {
        self.pool.commit(slot, tokens);
    }

    fn leave(&mut self, slot: usize) {
        self.pool.leave(slot);
    }

    fn forget(&mut self, slot: usize) {
        self.pool.forget(slot);
    }

    fn keep(&mut self, slot: usize) {
        if let Some(spilled) = &mut self.spilled {
            spilled.keep(self.pool.whole(slot));
        }
    }

    fn spill(&mut self, is_idle: bool) -> bool {
        let Some(spilled) = &mut self.spilled else {
            return false;
        };
        let most = if is_idle {
            COPIED_WHEN_IDLE
        } else {
            COPIED_BETWEEN_STEPS
        };
        let (pool, pages) = (&self.pool, &self.pages);
        spilled.feed(most, |key, bytes| Self::fetch(pool, pages, key, bytes))
    }

    fn settle(&mut self) {
        self.settle_within(SETTLING_TIME);
    }

    fn trim(&mut self) {
        if !self.is_allocated {
            return;
        }
        self.settle_within(TRIMMING_TIME);
        if !self.pool.is_unused() {
            let blocks = self.pool.trim();
            return self.pages.give_back(&blocks);
        }
        self.pool = self.room.pool();
        self.is_allocated = false;
        if let Err(error) = self.pages.allocate(0) {
            tracing::warn!(%error, "the memory of keys and values was not given back");
        }
    }
}

impl<P: Pages> Cache for Paged<P> {
    fn mixed(&mut self) -> Option<&mut dyn Mixed> {
        Some(self)
    }

    fn batch_limit(&self) -> usize {
        self.room.slots
    }

    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError> {
        self.compute(model, slot, tokens, Wanted::Last)
    }

    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        let pieces: Vec<Piece<'_>> = rows
            .iter()
            .map(|(slot, token)| Piece {
                slot: *slot,
                tokens: std::slice::from_ref(token),
                wanted: Wanted::Last,
            })
            .collect();
        let logits = self.step(model, &pieces)?;
        rows.iter().for_each(|&(slot, token)| self.commit(slot, &[token]));
        Ok(logits)
    }

    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError> {
        self.fork(slot, slot, length)
    }

    fn release(&mut self) {
        (0..self.room.slots).for_each(|slot| self.pool.leave(slot));
        self.trim();
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        self.fork(from, to, length)
    }

    fn use_disk(&mut self, spilled: Spilled) {
        self.spilled = Some(spilled);
    }
}

fn no_blocks() -> ComputeError {
    ComputeError::Interface("no block of its cache is free".to_owned())
}

fn run(model: &mut Model, packed: Packed) -> Result<Logits, ComputeError> {
    let interface = &model.interface;
    let (columns, wanted) = (packed.tokens.len(), packed.wanted.len());
    let inputs = interface.inputs(StepInputs {
        rows: 1,
        columns,
        tokens: packed.tokens,
        mask: vec![1; columns],
        width: columns,
        positions: packed.positions,
        wanted: packed.wanted,
        has_past: true,
    })?;
    let mut outputs = model.session.run_with_options(inputs, &model.run_options)?;
    let logits = outputs
        .remove(&interface.logits)
        .ok_or_else(|| ComputeError::Interface("its run gave no logits".to_owned()))?;
    Logits::of_rows(logits, interface.logits_float, wanted)
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
