//! Graphs that take the past and return a longer present: attention of standard operators.
//!
//! What one run returned is what the next takes, so nothing is copied here while the set of
//! sequences stays the same. Sequences of different lengths decode together with padding on the
//! left, which the attention mask hides and the position ids skip. When the set changes, the
//! batch is taken apart and put together again.

use std::borrow::Cow;

use ort::session::SessionInputValue;
use ort::value::DynValue;

use super::Cache;
use crate::llm::ComputeError;
use crate::llm::interface::{CacheTensor, Interface, StepInputs};
use crate::llm::session::Model;
use crate::llm::tensor::{Logits, OwnedTensor, bytes_of, shape_of};

pub(crate) struct Concatenated {
    /// By slot; `None` while it is empty or in the batch.
    alone: Vec<Option<Past>>,
    batch: Option<Batch>,
    /// Padding works only where mask and positions are both inputs.
    padding: bool,
    interface: Option<Interface>,
}

/// Keys and values of one or more sequences, a tensor per cache input.
struct Past {
    tensors: Vec<Held>,
    /// Tokens, padding included.
    width: usize,
}

struct Batch {
    past: Past,
    /// Slot and padding of each row.
    rows: Vec<(usize, usize)>,
}

/// A tensor that a run returned, or one put together here.
enum Held {
    Returned(DynValue),
    Built(OwnedTensor),
}

impl Held {
    fn value(&self) -> &DynValue {
        match self {
            Self::Returned(value) => value,
            Self::Built(tensor) => tensor.value(),
        }
    }
}

impl Concatenated {
    pub(crate) fn new(slots: usize, padding: bool) -> Self {
        Self {
            alone: (0..slots).map(|_| None).collect(),
            batch: None,
            padding,
            interface: None,
        }
    }

    /// Takes the batch apart; every sequence is alone afterwards.
    fn dissolve(&mut self) -> Result<(), ComputeError> {
        let (Some(batch), Some(interface)) = (&self.batch, &self.interface) else {
            return Ok(());
        };
        let mut taken = Vec::with_capacity(batch.rows.len());
        for (row, &(slot, padding)) in batch.rows.iter().enumerate() {
            let source = Source {
                past: &batch.past,
                row,
                padding,
            };
            taken.push((slot, build(interface, &[source], batch.past.width - padding)?));
        }
        self.batch = None;
        for (slot, past) in taken {
            self.alone[slot] = Some(past);
        }
        Ok(())
    }

    /// Puts the slots, all alone, into one batch of that order.
    fn assemble(&mut self, slots: &[usize]) -> Result<(), ComputeError> {
        let Some(interface) = &self.interface else {
            return Ok(());
        };
        let pasts: Vec<&Past> = slots
            .iter()
            .filter_map(|&slot| self.alone[slot].as_ref())
            .collect();
        let width = pasts.iter().map(|past| past.width).max().unwrap_or(0);
        let rows = slots
            .iter()
            .zip(&pasts)
            .map(|(&slot, past)| (slot, width - past.width))
            .collect();
        let sources: Vec<Source<'_>> = pasts
            .into_iter()
            .map(|past| Source {
                past,
                row: 0,
                padding: 0,
            })
            .collect();
        let past = build(interface, &sources, width)?;
        self.batch = Some(Batch { past, rows });
        slots.iter().for_each(|&slot| self.alone[slot] = None);
        Ok(())
    }

    fn is_in_batch(&self, slot: usize) -> bool {
        self.batch
            .as_ref()
            .is_some_and(|batch| batch.rows.iter().any(|row| row.0 == slot))
    }

    fn prepare(&mut self, model: &Model) {
        if self.interface.is_none() {
            self.interface = Some(model.interface.clone());
        }
    }

    fn extend_alone(
        &mut self,
        model: &mut Model,
        slot: usize,
        tokens: &[u32],
    ) -> Result<Logits, ComputeError> {
        let empty = Past {
            tensors: Vec::new(),
            width: 0,
        };
        let past = self.alone[slot].as_ref().unwrap_or(&empty);
        let total = past.width + tokens.len();
        let step = StepInputs {
            rows: 1,
            columns: tokens.len(),
            tokens: tokens.iter().map(|&token| i64::from(token)).collect(),
            mask: vec![1; total],
            width: total,
            positions: (past.width as i64..total as i64).collect(),
            wanted: Vec::new(),
            has_past: past.width > 0,
        };
        let (logits, present) = run(model, past, step)?;
        self.alone[slot] = Some(present);
        Ok(logits)
    }
}

impl Cache for Concatenated {
    fn batch_limit(&self) -> usize {
        if self.padding { self.alone.len() } else { 1 }
    }

    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError> {
        self.prepare(model);
        if self.is_in_batch(slot) {
            self.dissolve()?;
        }
        self.extend_alone(model, slot, tokens)
    }

    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        self.prepare(model);
        if let [(slot, token)] = *rows {
            return self.extend(model, slot, &[token]);
        }
        let slots: Vec<usize> = rows.iter().map(|&(slot, _)| slot).collect();
        let same = |batch: &Batch| {
            batch.rows.len() == slots.len() && batch.rows.iter().all(|(slot, _)| slots.contains(slot))
        };
        if !self.batch.as_ref().is_some_and(same) {
            self.dissolve()?;
            self.assemble(&slots)?;
        }
        let Some(batch) = &mut self.batch else {
            return Err(ComputeError::Interface(
                "its batch could not be put together".to_owned(),
            ));
        };
        let row_of = |slot: usize| batch.rows.iter().position(|row| row.0 == slot).unwrap_or(0);
        let order: Vec<usize> = slots.iter().map(|&slot| row_of(slot)).collect();
        let width = batch.past.width + 1;
        let mut step = StepInputs {
            rows: rows.len(),
            columns: 1,
            tokens: vec![0; rows.len()],
            mask: vec![1; rows.len() * width],
            width,
            positions: vec![0; rows.len()],
            wanted: Vec::new(),
            has_past: true,
        };
        for (&(_, token), &row) in rows.iter().zip(&order) {
            let padding = batch.rows[row].1;
            step.tokens[row] = i64::from(token);
            step.positions[row] = (batch.past.width - padding) as i64;
            step.mask[row * width..][..padding].fill(0);
        }
        let (mut logits, present) = run(model, &batch.past, step)?;
        batch.past = present;
        logits.reorder(&order);
        Ok(logits)
    }

    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError> {
        if self.is_in_batch(slot) {
            self.dissolve()?;
        }
        let Some(past) = &self.alone[slot] else {
            return Ok(());
        };
        if length >= past.width {
            return Ok(());
        }
        self.copy(slot, slot, length)
    }

    fn release(&mut self) {
        self.batch = None;
        self.alone.fill_with(|| None);
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        if self.is_in_batch(from) || self.is_in_batch(to) {
            self.dissolve()?;
        }
        let (Some(past), Some(interface)) = (&self.alone[from], &self.interface) else {
            self.alone[to] = None;
            return Ok(());
        };
        let length = length.min(past.width);
        let kept = if length == 0 {
            None
        } else {
            Some(build(
                interface,
                &[Source {
                    past,
                    row: 0,
                    padding: 0,
                }],
                length,
            )?)
        };
        self.alone[to] = kept;
        Ok(())
    }
}

/// One sequence within a past.
struct Source<'p> {
    past: &'p Past,
    row: usize,
    padding: usize,
}

/// Tensors of `width` tokens with a row per source: its first tokens, moved to the right end.
fn build(interface: &Interface, sources: &[Source<'_>], width: usize) -> Result<Past, ComputeError> {
    let float = interface.cache_float;
    let mut tensors = Vec::with_capacity(interface.cache.len());
    for (index, layer) in interface.cache.iter().enumerate() {
        let unit = layer.size * float.bytes();
        let mut built = OwnedTensor::zeroed(float, &[sources.len(), layer.heads, width, layer.size])?;
        for (row, source) in sources.iter().enumerate() {
            let Some(held) = source.past.tensors.get(index) else {
                continue;
            };
            let bytes = bytes_of(held.value(), float)?;
            let tokens = (source.past.width - source.padding).min(width);
            for head in 0..layer.heads {
                let from = ((source.row * layer.heads + head) * source.past.width + source.padding) * unit;
                let to = ((row * layer.heads + head) * width + width - tokens) * unit;
                built.write(to, &bytes[from..from + tokens * unit]);
            }
        }
        tensors.push(Held::Built(built));
    }
    Ok(Past { tensors, width })
}

fn run(model: &mut Model, past: &Past, step: StepInputs) -> Result<(Logits, Past), ComputeError> {
    let (rows, width) = (step.rows, past.width + step.columns);
    let interface = &model.interface;
    let empty: Vec<Held> = if past.tensors.is_empty() {
        let zero = |layer: &CacheTensor| {
            OwnedTensor::zeroed(interface.cache_float, &[rows, layer.heads, 0, layer.size]).map(Held::Built)
        };
        interface.cache.iter().map(zero).collect::<Result<_, _>>()?
    } else {
        Vec::new()
    };
    let tensors = if past.tensors.is_empty() {
        &empty
    } else {
        &past.tensors
    };
    let mut inputs: Vec<(Cow<'_, str>, SessionInputValue<'_>)> = interface.inputs(step)?;
    for (layer, held) in interface.cache.iter().zip(tensors) {
        inputs.push((Cow::Borrowed(layer.past.as_str()), held.value().into()));
    }
    let mut outputs = model.session.run_with_options(inputs, &model.run_options)?;
    let mut take = |name: &str| {
        outputs
            .remove(name)
            .ok_or_else(|| ComputeError::Interface(format!("its run gave no {name}")))
    };
    let logits = Logits::last_of(take(&interface.logits)?, interface.logits_float, rows)?;
    let mut present = Vec::with_capacity(interface.cache.len());
    for layer in &interface.cache {
        let value = take(&layer.present)?;
        let expected = [rows, layer.heads, width, layer.size].map(|size| size as i64);
        if shape_of(&value) != expected {
            let found = value.dtype();
            return Err(ComputeError::Interface(format!(
                "its output {} is {found} where the cache should be {expected:?}",
                layer.present
            )));
        }
        present.push(Held::Returned(value));
    }
    Ok((
        logits,
        Past {
            tensors: present,
            width,
        },
    ))
}
