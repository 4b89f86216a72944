//! Which blocks hold the sequences at work, and what they share: a pure decision, no memory.
//!
//! A sequence writes only into blocks that it uses alone and that the index does not know.
//! Whole blocks are remembered as soon as they are computed, the last part when its sequence
//! leaves. A block that is partly of use is copied before it is continued.

use super::blocks::{BlockId, Blocks};
use super::prefix::{Key, Prefix, common};

/// The content of one block is to be copied to another, before anything else is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockCopy {
    pub(super) from: BlockId,
    pub(super) to: BlockId,
}

/// There are not enough blocks, although nothing is kept for later any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

#[derive(Debug)]
struct Table {
    /// What the blocks hold, in order.
    tokens: Vec<u32>,
    /// May be more than the tokens fill.
    blocks: Vec<BlockId>,
    /// Of the beginnings: nothing, then a block more each.
    keys: Vec<Key>,
}

impl Table {
    fn new(root: Key) -> Self {
        Self {
            tokens: Vec::new(),
            blocks: Vec::new(),
            keys: vec![root],
        }
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    block_tokens: usize,
    blocks: Blocks,
    prefix: Prefix,
    /// By slot.
    tables: Vec<Table>,
}

impl Pool {
    /// So many blocks at most, of which `comfortable` are filled before what nobody uses is given
    /// up for others.
    pub(super) fn new(slots: usize, capacity: usize, comfortable: usize, block_tokens: usize) -> Self {
        Self {
            block_tokens,
            blocks: Blocks::new(capacity, comfortable),
            prefix: Prefix::default(),
            tables: (0..slots).map(|_| Table::new(Key::root(b""))).collect(),
        }
    }

    pub(super) fn length(&self, slot: usize) -> usize {
        self.tables[slot].tokens.len()
    }

    pub(super) fn table(&self, slot: usize) -> &[BlockId] {
        &self.tables[slot].blocks
    }

    /// Blocks that can be had for the asking.
    pub(super) fn available(&self) -> usize {
        self.blocks.available()
    }

    /// Whether no sequence has any.
    pub(super) fn is_unused(&self) -> bool {
        self.available() == self.blocks.capacity()
    }

    /// Blocks that the slot lacks for so many more tokens.
    pub(super) fn missing(&self, slot: usize, tokens: usize) -> usize {
        let table = &self.tables[slot];
        (table.tokens.len() + tokens)
            .div_ceil(self.block_tokens)
            .saturating_sub(table.blocks.len())
    }

    /// Starts a sequence in an empty slot.
    pub(super) fn begin(&mut self, slot: usize, salt: &[u8]) {
        self.leave(slot);
        self.tables[slot] = Table::new(Key::root(salt));
    }

    /// Takes over what is known of the beginning of `prompt` and goes beyond what the slot holds,
    /// which is a beginning of it. At least one token of the prompt is always left to compute,
    /// since its logits choose the first token.
    pub(super) fn adopt(&mut self, slot: usize, prompt: &[u32]) -> Option<BlockCopy> {
        let reusable = &prompt[..prompt.len().saturating_sub(1)];
        self.adopt_whole(slot, reusable);
        self.adopt_part(slot, reusable)
    }

    /// The whole blocks that the slot's tokens fill, the first first.
    pub(super) fn whole(&self, slot: usize) -> impl Iterator<Item = Key> {
        let table = &self.tables[slot];
        table.keys[1..].iter().copied()
    }

    /// Where a whole block is, if it is known.
    pub(super) fn find(&self, key: Key) -> Option<BlockId> {
        self.prefix.find(key)
    }

    /// Whole blocks of a beginning of `prompt` that sequences have, so that it needs no others for
    /// them.
    pub(super) fn in_use(&self, prompt: &[u32]) -> usize {
        let reusable = &prompt[..prompt.len().saturating_sub(1)];
        let mut key = Key::root(b"");
        let known = reusable.chunks_exact(self.block_tokens).map_while(|tokens| {
            key = key.then(tokens);
            self.prefix.find(key)
        });
        known.take_while(|&block| self.blocks.users(block) > 0).count()
    }

    /// Takes over what is known whole, and says what comes next in `prompt`, if that is a whole
    /// block too that could be taken over.
    pub(super) fn next_unknown(&mut self, slot: usize, prompt: &[u32]) -> Option<Key> {
        let reusable = &prompt[..prompt.len().saturating_sub(1)];
        self.adopt_whole(slot, reusable);
        let (before, tokens) = self.next_whole(slot, reusable)?;
        Some(before.then(tokens))
    }

    /// A block for what comes next, which is written before anything else is asked. The slot holds
    /// it from here on.
    pub(super) fn place(&mut self, slot: usize, prompt: &[u32]) -> Result<BlockId, Full> {
        let (before, tokens) = self.next_whole(slot, prompt).ok_or(Full)?;
        let key = before.then(tokens);
        let block = self.take()?;
        let index = self.tables[slot].tokens.len() / self.block_tokens;
        self.cut(slot, index);
        let table = &mut self.tables[slot];
        table.tokens.truncate(index * self.block_tokens);
        table.tokens.extend_from_slice(tokens);
        table.blocks.push(block);
        table.keys.push(key);
        if self.prefix.insert_whole(before, tokens, key, block) {
            self.blocks.remember(block);
        }
        Ok(block)
    }

    /// The tokens of the first block that the slot does not hold whole, and what is before it.
    fn next_whole<'t>(&self, slot: usize, tokens: &'t [u32]) -> Option<(Key, &'t [u32])> {
        let table = &self.tables[slot];
        let index = table.tokens.len() / self.block_tokens;
        let tokens = tokens.get(index * self.block_tokens..(index + 1) * self.block_tokens)?;
        Some((table.keys[index], tokens))
    }

    fn adopt_whole(&mut self, slot: usize, reusable: &[u32]) {
        loop {
            let table = &self.tables[slot];
            let index = table.tokens.len() / self.block_tokens;
            let (start, end) = (index * self.block_tokens, (index + 1) * self.block_tokens);
            let Some(tokens) = reusable.get(start..end) else {
                return;
            };
            let key = table.keys[index].then(tokens);
            let Some(block) = self.prefix.find(key) else {
                return;
            };
            self.cut(slot, index);
            self.blocks.share(block);
            let table = &mut self.tables[slot];
            table.tokens.truncate(start);
            table.tokens.extend_from_slice(tokens);
            table.blocks.push(block);
            table.keys.push(key);
        }
    }

    fn adopt_part(&mut self, slot: usize, reusable: &[u32]) -> Option<BlockCopy> {
        let length = self.tables[slot].tokens.len();
        if !length.is_multiple_of(self.block_tokens) {
            return None;
        }
        let index = length / self.block_tokens;
        let before = self.tables[slot].keys[index];
        // Not all of a block: whole ones are taken over as they are.
        let rest = &reusable[length.min(reusable.len())..];
        let rest = &rest[..rest.len().min(self.block_tokens - 1)];
        let (from, tokens) = self.longest(before, index, rest)?;
        let part = &reusable[length..length + tokens];
        self.cut(slot, index);
        self.blocks.share(from);
        if self.blocks.users(from) == 1 && self.prefix.is_part_of(from, tokens) {
            // All of it is of use, and nobody else uses it: it is continued where it is.
            self.unremember(from);
            self.tables[slot].blocks.push(from);
            self.tables[slot].tokens.extend_from_slice(part);
            return None;
        }
        let to = self.take();
        self.blocks.release(from);
        let to = to.ok()?;
        self.tables[slot].blocks.push(to);
        self.tables[slot].tokens.extend_from_slice(part);
        Some(BlockCopy { from, to })
    }

    /// The block behind `before` that agrees with most of `tokens`: one that is remembered, or
    /// the last of a sequence at work.
    fn longest(&self, before: Key, index: usize, tokens: &[u32]) -> Option<(BlockId, usize)> {
        let at_work = self.tables.iter().filter_map(|table| {
            let last = table.tokens.get(index * self.block_tokens..)?;
            let is_behind = table.keys.get(index) == Some(&before);
            let block = *table.blocks.get(index)?;
            let common = common(last, tokens);
            (is_behind && common > 0).then_some((block, common))
        });
        let remembered = self.prefix.longest(before, tokens);
        // The remembered one among equals: it may be had without a copy.
        at_work.chain(remembered).max_by_key(|&(_, common)| common)
    }

    /// Gives the slot blocks for so many more tokens, all or none.
    pub(super) fn reserve(&mut self, slot: usize, tokens: usize) -> Result<(), Full> {
        let before = self.tables[slot].blocks.len();
        for _ in 0..self.missing(slot, tokens) {
            match self.take() {
                Ok(block) => self.tables[slot].blocks.push(block),
                Err(full) => {
                    self.cut(slot, before);
                    return Err(full);
                }
            }
        }
        Ok(())
    }

    /// The next of the reserved places hold these tokens.
    pub(super) fn commit(&mut self, slot: usize, tokens: &[u32]) {
        let table = &mut self.tables[slot];
        table.tokens.extend_from_slice(tokens);
        assert!(
            table.tokens.len() <= table.blocks.len() * self.block_tokens,
            "tokens have places"
        );
        let whole = table.tokens.len() / self.block_tokens;
        for index in table.keys.len() - 1..whole {
            let (before, block) = (table.keys[index], table.blocks[index]);
            let tokens = &table.tokens[index * self.block_tokens..][..self.block_tokens];
            let key = before.then(tokens);
            table.keys.push(key);
            if self.prefix.insert_whole(before, tokens, key, block) {
                self.blocks.remember(block);
            }
        }
    }

    /// Makes `to` hold the first `length` tokens of `from`; they may be the same slot.
    pub(super) fn fork(&mut self, from: usize, to: usize, length: usize) -> Result<Option<BlockCopy>, Full> {
        let source = &self.tables[from];
        let length = length.min(source.tokens.len());
        let (whole, part) = (length / self.block_tokens, length % self.block_tokens);
        let mut table = Table {
            tokens: source.tokens[..length].to_vec(),
            blocks: source.blocks[..whole].to_vec(),
            keys: source.keys[..=whole].to_vec(),
        };
        let last = source.blocks.get(whole).copied();
        table.blocks.iter().for_each(|&block| self.blocks.share(block));
        let mut copy = None;
        if let (Some(last), 1..) = (last, part) {
            let Ok(fresh) = self.take() else {
                table.blocks.iter().for_each(|&block| self.blocks.release(block));
                return Err(Full);
            };
            table.blocks.push(fresh);
            copy = Some(BlockCopy {
                from: last,
                to: fresh,
            });
        }
        self.cut(to, 0);
        self.tables[to] = table;
        Ok(copy)
    }

    /// The sequence is over, or rests; what it computed stays for others until room is needed.
    pub(super) fn leave(&mut self, slot: usize) {
        let table = &self.tables[slot];
        let index = table.tokens.len() / self.block_tokens;
        let last = &table.tokens[index * self.block_tokens..];
        if let (false, Some(&block)) = (last.is_empty(), table.blocks.get(index))
            && self.prefix.insert_part(table.keys[index], last, block)
        {
            self.blocks.remember(block);
        }
        self.empty(slot);
    }

    /// The sequence is over, and what it holds must not serve anybody.
    pub(super) fn forget(&mut self, slot: usize) {
        for block in self.tables[slot].blocks.clone() {
            self.unremember(block);
        }
        self.empty(slot);
    }

    /// Gives up everything that nobody uses; which blocks hold nothing then.
    pub(super) fn trim(&mut self) -> Vec<BlockId> {
        while let Some(block) = self.blocks.oldest_idle() {
            self.unremember(block);
        }
        self.blocks.freed()
    }

    fn empty(&mut self, slot: usize) {
        self.cut(slot, 0);
        let root = self.tables[slot].keys[0];
        self.tables[slot] = Table::new(root);
    }

    /// Leaves the slot its first blocks only. The last goes first, so that ends are given up
    /// before the beginnings they need.
    fn cut(&mut self, slot: usize, blocks: usize) {
        for block in self.tables[slot].blocks.split_off(blocks).into_iter().rev() {
            self.blocks.release(block);
        }
    }

    fn unremember(&mut self, block: BlockId) {
        self.prefix.remove(block);
        self.blocks.forget(block);
    }

    /// A block to write, if need be the one that has been idle for longest.
    fn take(&mut self) -> Result<BlockId, Full> {
        if let Some(block) = self.blocks.take() {
            return Ok(block);
        }
        if let Some(oldest) = self.blocks.oldest_idle() {
            self.unremember(oldest);
            return self.blocks.take().ok_or(Full);
        }
        self.blocks.take_more().ok_or(Full)
    }
}

#[cfg(test)]
mod tests;
