//! One sequence computed at once, with the logits behind each of its tokens.

use std::borrow::Cow;

use super::super::interface::StepInputs;
use super::super::session::Model;
use super::super::tensor::{Logits, OwnedTensor};
use crate::llm::ComputeError;

/// Nothing is kept. Graphs that give only the last token's logits are refused with
/// [`ComputeError::LogitsShape`].
pub(crate) fn whole(model: &mut Model, tokens: &[u32]) -> Result<Logits, ComputeError> {
    let interface = &model.interface;
    let count = tokens.len();
    let mut inputs = interface.inputs(StepInputs {
        rows: 1,
        columns: count,
        tokens: tokens.iter().map(|&token| i64::from(token)).collect(),
        mask: vec![1; count],
        width: count,
        positions: (0..count as i64).collect(),
        wanted: (0..count as i64).collect(),
        has_past: false,
    })?;
    if let Some((keep, rank)) = &interface.logits_to_keep {
        inputs.retain(|(name, _)| *name != keep.name);
        let all = keep.tensor(&[1][..*rank], vec![count as i64])?;
        inputs.push((Cow::Borrowed(&keep.name), all.into()));
    }
    let mut empty = Vec::with_capacity(interface.cache.len());
    for layer in &interface.cache {
        let shape = [1, layer.heads, 0, layer.size];
        empty.push(OwnedTensor::zeroed(interface.cache_float, &shape)?);
    }
    for (layer, held) in interface.cache.iter().zip(&empty) {
        inputs.push((Cow::Borrowed(layer.past.as_str()), held.value().into()));
    }
    let mut outputs = model.session.run_with_options(inputs, &model.run_options)?;
    let logits = outputs.remove(&interface.logits);
    let logits = logits.ok_or_else(|| ComputeError::Interface("its run gave no logits".to_owned()))?;
    Logits::of_rows(logits, interface.logits_float, count)
}
