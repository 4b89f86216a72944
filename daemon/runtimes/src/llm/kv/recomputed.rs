//! Graphs without a cache: every step computes the whole sequence again.

use super::Cache;
use crate::llm::ComputeError;
use crate::llm::interface::StepInputs;
use crate::llm::session::Model;
use crate::llm::tensor::Logits;

pub(crate) struct Recomputed {
    /// By slot.
    tokens: Vec<Vec<u32>>,
}

impl Recomputed {
    pub(crate) fn new(slots: usize) -> Self {
        Self {
            tokens: vec![Vec::new(); slots],
        }
    }
}

impl Cache for Recomputed {
    fn keeps(&self) -> bool {
        false
    }

    fn batch_limit(&self) -> usize {
        1
    }

    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError> {
        let before = self.tokens[slot].len();
        self.tokens[slot].extend_from_slice(tokens);
        let computed = run(model, &self.tokens[slot]);
        if computed.is_err() {
            self.tokens[slot].truncate(before);
        }
        computed
    }

    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError> {
        match *rows {
            [(slot, token)] => self.extend(model, slot, &[token]),
            _ => Err(ComputeError::Interface(
                "it takes one sequence at a time".to_owned(),
            )),
        }
    }

    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError> {
        self.tokens[slot].truncate(length);
        Ok(())
    }

    fn release(&mut self) {
        self.tokens.fill_with(Vec::new);
    }

    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError> {
        let length = length.min(self.tokens[from].len());
        self.tokens[to] = self.tokens[from][..length].to_vec();
        Ok(())
    }
}

fn run(model: &mut Model, tokens: &[u32]) -> Result<Logits, ComputeError> {
    let interface = &model.interface;
    let inputs = interface.inputs(StepInputs {
        rows: 1,
        columns: tokens.len(),
        tokens: tokens.iter().map(|&token| i64::from(token)).collect(),
        mask: vec![1; tokens.len()],
        width: tokens.len(),
        positions: (0..tokens.len() as i64).collect(),
        wanted: Vec::new(),
        has_past: false,
    })?;
    let mut outputs = model.session.run_with_options(inputs, &model.run_options)?;
    let logits = outputs
        .remove(&interface.logits)
        .ok_or_else(|| ComputeError::Interface("its run gave no logits".to_owned()))?;
    Logits::last_of(logits, interface.logits_float, 1)
}
