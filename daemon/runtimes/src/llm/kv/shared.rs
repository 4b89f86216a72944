//! One buffer per layer that serves as past and as present: `GroupQueryAttention` writes the
//! new keys and values behind the old ones in place, so nothing is copied per token.
//!
//! A slot's sequence lies in one row of the buffer. Sequences that decode together must lie in
//! neighbouring rows, so rows move when the set changes. The buffer grows by doubling; its
//! untouched pages take no memory.

use std::collections::HashMap;

use ort::memory::MemoryInfo;
use ort::session::IoBinding;

use super::Cache;
use crate::llm::ComputeError;
use crate::llm::interface::{Interface, StepInputs};
use crate::llm::session::Model;
use crate::llm::tensor::{Block, Float, Logits};

/// Tokens that a row has room for at first.
const FIRST_CAPACITY: usize = 256;

pub(crate) struct Shared {
    /// By first row and number of rows. Dropped before the memory they refer to.
    bindings: HashMap<(usize, usize), IoBinding>,
    layers: Vec<Layer>,
    float: Float,
    /// Tokens that each row has room for.
    capacity: usize,
    context_length: usize,
    /// By slot.
    rows: Vec<usize>,
    /// Tokens, by slot.
    lengths: Vec<usize>,
    batch_limit: usize,
}

/// Keys or values of one layer, shape [rows, heads, capacity, size].
struct Layer {
    block: Option<Block>,
    heads: usize,
    /// Bytes of one head's part of one token.
    unit: usize,
    size: usize,
}

impl Shared {
    pub(crate) fn new(interface: &Interface, slots: usize, context_length: usize) -> Self {
        let float = interface.cache_float;
        let layers = interface.cache.iter().map(|tensor| Layer {
            block: None,
            heads: tensor.heads,
            unit: tensor.size * float.bytes(),
            size: tensor.size,
        });
        Self {
            bindings: HashMap::new(),
            layers: layers.collect(),
            float,
            capacity: 0,
            context_length,
            rows: (0..slots).collect(),
            lengths: vec![0; slots],
            batch_limit: if interface.one_row { 1 } else { slots },
        }
    }

    fn grow(&mut self, tokens: usize) -> Result<(), ComputeError> {
        if tokens <= self.capacity {
            return Ok(());
        }
        let capacity = tokens
            .next_power_of_two()
            .max(FIRST_CAPACITY)
            .min(self.context_length.max(tokens));
        self.bindings.clear();
        let used: Vec<(usize, usize)> = self
            .rows
            .iter()
            .copied()
            .zip(self.lengths.iter().copied())
            .collect();
        // All is allocated before anything is given up; untouched memory costs nothing.
        let mut blocks = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            blocks.push(layer.allocate(self.rows.len(), capacity)?);
        }
        for (layer, block) in self.layers.iter_mut().zip(blocks) {
            layer.move_to(block, self.capacity, capacity, &used);
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Brings the slots into neighbouring rows, in an order of their own; the first of the rows.
    fn gather(&mut self, slots: &[usize]) -> usize {
        let wanted: Vec<bool> = {
            let mut wanted = vec![false; self.rows.len()];
            slots.iter().for_each(|&slot| wanted[self.rows[slot]] = true);
            wanted
        };
        let (first, moves) = gathering(&wanted, slots.len());
        for (row, other) in moves {
            self.exchange(row, other);
        }
        first
    }

    fn exchange(&mut self, row: usize, other: usize) {
        let slot_in =
            |rows: &[usize], wanted: usize| rows.iter().position(|&row| row == wanted).unwrap_or(wanted);
        let (slot, other_slot) = (slot_in(&self.rows, row), slot_in(&self.rows, other));
        let tokens = self.lengths[slot].max(self.lengths[other_slot]);
        for layer in &mut self.layers {
            layer.exchange(row, other, self.capacity, tokens);
        }
        self.rows.swap(slot, other_slot);
    }

    fn run(&mut self, model: &mut Model, first: usize, step: StepInputs) -> Result<Logits, ComputeError> {
        let rows = step.rows;
        if !self.bindings.contains_key(&(first, rows)) {
            let binding = self.bind(model, first, rows)?;
            self.bindings.insert((first, rows), binding);
        }
        let Some(binding) = self.bindings.get_mut(&(first, rows)) else {
            return Err(ComputeError::Interface("its cache was not bound".to_owned()));
        };
        let interface = &model.interface;
        for (name, value) in interface.inputs(step)? {
            binding.bind_input(name, &value)?;
        }
        binding.bind_output_to_device(interface.logits.as_str(), &MemoryInfo::default())?;
        let mut outputs = model
            .session
            .run_binding_with_options(binding, &model.run_options)?;
        let logits = outputs
            .remove(&interface.logits)
            .ok_or_else(|| ComputeError::Interface("its run gave no logits".to_owned()))?;
        Logits::last_of(logits, interface.logits_float, rows)
    }

    fn bind(&self, model: &Model, first: usize, rows: usize) -> Result<IoBinding, ComputeError> {
        let mut binding = model.session.create_binding()?;
        for (layer, names) in self.layers.iter().zip(&model.interface.cache) {
            let Some(block) = &layer.block else { continue };
            let shape = [rows, layer.heads, self.capacity, layer.size];
            #[expect(unsafe_code, reason = "see Block::tensor")]
            // SAFETY: `grow` clears the bindings before it replaces blocks, and the fields'
            // order drops them first.
            let mut tensor = unsafe { block.tensor(first * layer.row(self.capacity), self.float, &shape)? };
            binding.bind_input(names.past.as_str(), &tensor)?;
            binding.bind_output(names.present.as_str(), &mut tensor)?;
        }
        Ok(binding)
    }
}

impl Cache for Shared {
    fn batch_limit(&self) -> usize {
        self.batch_limit
    }

    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError> {
        let past = self.lengths[slot];
        let total = past + tokens.len();
        self.grow(total)?;
        let step = StepInputs {
            rows: 1,
            columns: tokens.len(),
            tokens: tokens.iter().map(|&token| i64::from(token)).collect(),
            mask: vec![1; total],
            width: total,
            positions: (past as i64..total as i64).collect(),
            wanted: Vec::new(),
            has_past: past > 0,
        };
        let logits = self.run(model, self.rows[slot], step)?;
        self.lengths[slot] = total;
        Ok(logits)
    }

    /// The rows of the logits are in the order of `rows`.
    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        let slots: Vec<usize> = rows.iter().map(|&(slot, _)| slot).collect();
        let width = slots
            .iter()
            .map(|&slot| self.lengths[slot] + 1)
            .max()
            .unwrap_or(1);
        self.grow(width)?;
        let first = self.gather(&slots);
        let mut step = StepInputs {
            rows: rows.len(),
            columns: 1,
            tokens: vec![0; rows.len()],
            mask: vec![0; rows.len() * width],
            width,
            positions: vec![0; rows.len()],
            wanted: Vec::new(),
            has_past: true,
        };
        let mut order = Vec::with_capacity(rows.len());
        for &(slot, token) in rows {
            let (row, length) = (self.rows[slot] - first, self.lengths[slot]);
            step.tokens[row] = i64::from(token);
            step.positions[row] = length as i64;
            step.mask[row * width..][..=length].fill(1);
            order.push(row);
        }
        let mut logits = self.run(model, first, step)?;
        logits.reorder(&order);
        slots.iter().for_each(|&slot| self.lengths[slot] += 1);
        Ok(logits)
    }

    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError> {
        self.lengths[slot] = self.lengths[slot].min(length);
        Ok(())
    }

    fn release(&mut self) {
        // The bindings refer to the memory: they go first.
        self.bindings.clear();
        self.layers.iter_mut().for_each(|layer| layer.block = None);
        self.lengths.fill(0);
        self.capacity = 0;
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        let length = length.min(self.lengths[from]);
        for layer in &mut self.layers {
            layer.copy(self.rows[from], self.rows[to], self.capacity, length);
        }
        self.lengths[to] = length;
        Ok(())
    }
}

impl Layer {
    /// Bytes of one row.
    fn row(&self, capacity: usize) -> usize {
        self.heads * capacity * self.unit
    }

    fn head(&self, row: usize, head: usize, capacity: usize) -> usize {
        (row * self.heads + head) * capacity * self.unit
    }

    fn allocate(&self, rows: usize, capacity: usize) -> Result<Block, ComputeError> {
        let bytes = self.row(capacity).checked_mul(rows);
        Block::zeroed(bytes.ok_or(ComputeError::OutOfMemory { bytes: usize::MAX })?)
    }

    /// Replaces the block, keeping the tokens in use, given as row and number.
    fn move_to(&mut self, mut grown: Block, old: usize, new: usize, used: &[(usize, usize)]) {
        if let Some(block) = &self.block {
            for &(row, tokens) in used {
                for head in 0..self.heads {
                    let from = block.read(self.head(row, head, old), tokens * self.unit);
                    grown.write(self.head(row, head, new), from);
                }
            }
        }
        self.block = Some(grown);
    }

    fn exchange(&mut self, row: usize, other: usize, capacity: usize, tokens: usize) {
        for head in 0..self.heads {
            let (one, two) = (self.head(row, head, capacity), self.head(other, head, capacity));
            if let Some(block) = &mut self.block {
                block.swap_within(one, two, tokens * self.unit);
            }
        }
    }

    fn copy(&mut self, from: usize, to: usize, capacity: usize, tokens: usize) {
        for head in 0..self.heads {
            let (from, to) = (self.head(from, head, capacity), self.head(to, head, capacity));
            if let Some(block) = &mut self.block {
                block.copy_within(from, to, tokens * self.unit);
            }
        }
    }
}

/// Which rows to exchange so that the wanted ones become neighbours: the first of the rows they
/// end in, and the fewest exchanges.
fn gathering(wanted: &[bool], count: usize) -> (usize, Vec<(usize, usize)>) {
    let here = |first: usize| {
        wanted[first..first + count]
            .iter()
            .filter(|wanted| **wanted)
            .count()
    };
    // The earliest of the best: rows then tend to settle at the front.
    let first = (0..=wanted.len() - count)
        .rev()
        .max_by_key(|&first| here(first))
        .unwrap_or(0);
    let inside = first..first + count;
    let holes = inside.clone().filter(|&row| !wanted[row]);
    let outside = (0..wanted.len()).filter(|&row| wanted[row] && !inside.contains(&row));
    (first, holes.zip(outside).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_move_only_when_they_must() {
        type Case<'c> = (&'c [u8], usize, &'c [(usize, usize)]);
        let cases: [Case<'_>; 6] = [
            (b"##..", 0, &[]),
            (b".##.", 1, &[]),
            (b"#..#", 0, &[(1, 3)]),
            (b"##.#", 0, &[(2, 3)]),
            (b"#.##", 0, &[(1, 3)]),
            (b"####", 0, &[]),
        ];
        for (picture, first, moves) in cases {
            let wanted: Vec<bool> = picture.iter().map(|mark| *mark == b'#').collect();
            let count = wanted.iter().filter(|wanted| **wanted).count();
            assert_eq!(gathering(&wanted, count), (first, moves.to_vec()), "{picture:?}");
        }
    }

    proptest! {
        #[test]
        fn wanted_rows_end_as_neighbours(mut wanted in proptest::collection::vec(any::<bool>(), 1..12)) {
            let count = wanted.iter().filter(|wanted| **wanted).count();
            let (first, moves) = gathering(&wanted, count);
            for (row, other) in moves {
                wanted.swap(row, other);
            }
            prop_assert!(wanted[first..first + count].iter().all(|wanted| *wanted));
        }
    }
}
