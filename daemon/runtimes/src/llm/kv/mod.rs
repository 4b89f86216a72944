//! Keys and values of the sequences a model works on, and how one step computes with them.
//!
//! Owns the memory. A sequence lives in a numbered slot from its first token until another one
//! takes the slot; what a finished one leaves behind serves the next with the same beginning.
//! The engine knows only [`Cache`], so that a paged store can take its place.

mod blocks;
mod concatenated;
#[cfg_attr(not(test), expect(dead_code, reason = "the paged store that uses it follows"))]
mod pool;
mod prefix;
mod recomputed;
mod shared;

use super::ComputeError;
use super::session::Model;
use super::tensor::Logits;
use crate::onnx::Attention;
use concatenated::Concatenated;
use recomputed::Recomputed;
use shared::Shared;

/// Key/value storage and the steps over it.
pub(crate) trait Cache: Send {
    /// Whether a beginning that is held need not be computed again. If not, prompts are best
    /// computed whole.
    fn keeps(&self) -> bool {
        true
    }

    /// Sequences that one [`decode`](Self::decode) may take together.
    fn batch_limit(&self) -> usize;

    /// Computes `tokens` behind what the slot holds, and the logits that follow the last.
    /// On an error the slot holds what it held before.
    fn extend(&mut self, model: &mut Model, slot: usize, tokens: &[u32]) -> Result<Logits, ComputeError>;

    /// Computes one token in each of several different slots.
    /// On an error the slots hold what they held before.
    fn decode(&mut self, model: &mut Model, rows: &[(usize, u32)]) -> Result<Logits, ComputeError>;

    /// Keeps only the first `length` tokens of a slot.
    fn truncate(&mut self, slot: usize, length: usize) -> Result<(), ComputeError>;

    /// Gives back the memory of all slots; they are empty afterwards.
    fn release(&mut self);

    /// Makes `to` hold what `from` holds of its first `length` tokens.
    fn copy(&mut self, from: usize, to: usize, length: usize) -> Result<(), ComputeError>;
}

/// The storage that suits a graph.
pub(crate) fn for_model(
    model: &Model,
    attention: Attention,
    grouped_nodes: usize,
    slots: usize,
    context_length: usize,
) -> Box<dyn Cache> {
    let interface = &model.interface;
    if interface.cache.is_empty() {
        return Box::new(Recomputed::new(slots));
    }
    // One node serves keys and values of a layer. Where there are fewer, something else
    // continues a part of the cache, and may not do it in place.
    let in_place = attention == Attention::GroupQuery && grouped_nodes * 2 >= interface.cache.len();
    if in_place {
        return Box::new(Shared::new(interface, slots, context_length));
    }
    let padding_is_understood = attention != Attention::GroupQuery
        && interface.positions.is_some()
        && interface.mask.is_some()
        && !interface.one_row;
    Box::new(Concatenated::new(slots, padding_is_understood))
}
