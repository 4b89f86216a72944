//! Keys and values of the sequences a model works on, and how one step computes with them.
//!
//! Owns the memory. A sequence lives in a numbered slot from its first token until another one
//! takes the slot; what a finished one leaves behind serves the next with the same beginning.
//! The engine knows only [`Cache`], so that a paged store can take its place.

mod blocks;
mod concatenated;
mod operators;
pub(super) mod paged;
mod pool;
mod prefix;
mod recomputed;
mod shared;
mod whole;

use super::ComputeError;
use super::session::Model;
use super::tensor::Logits;
use crate::llm::spilled::Spilled;
use crate::onnx::Attention;
use concatenated::Concatenated;
use paged::Paged;
pub(crate) use prefix::Key;
use recomputed::Recomputed;
use shared::Shared;
pub(crate) use whole::whole;

/// Key/value storage and the steps over it.
pub(crate) trait Cache: Send {
    /// What takes pieces of prompts and decodes in one run, where the graph can.
    fn mixed(&mut self) -> Option<&mut dyn Mixed> {
        None
    }

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

    /// From here on beginnings are looked for on the disk too, and [kept](Mixed::keep) there.
    fn use_disk(&mut self, _: Spilled) {}
}

/// Storage that finds beginnings by itself, and runs any sequences together.
///
/// Its room is counted in blocks. A sequence that has given up its slot can come back: what it
/// computed is found again, as far as nobody needed the room.
pub(crate) trait Mixed {
    /// Starts a sequence; how many tokens of the prompt need not be computed. That is never all,
    /// since the last one's logits choose the first token.
    fn begin(&mut self, slot: usize, prompt: &[u32]) -> Result<usize, ComputeError>;

    /// The same for a prompt under way: others may have computed more of it by now.
    /// On an error the slot is empty.
    fn adopt(&mut self, slot: usize, prompt: &[u32]) -> Result<usize, ComputeError>;

    /// Blocks that a slot lacks for so many more tokens.
    fn missing(&self, slot: usize, tokens: usize) -> usize;

    /// Blocks that a prompt needs beside those of sequences at work, which it shares.
    fn needed(&self, prompt: &[u32]) -> usize;

    /// Blocks that can be had.
    fn available(&self) -> usize;

    /// Computes pieces of different slots behind what they hold. The rows of logits come in the
    /// order of the pieces. Nothing counts as held before it is committed.
    fn step(&mut self, model: &mut Model, pieces: &[Piece<'_>]) -> Result<Logits, ComputeError>;

    /// The slot holds these tokens too: the first ones of its piece in the last step.
    fn commit(&mut self, slot: usize, tokens: &[u32]);

    /// The sequence is over or rests; what it computed can serve others.
    fn leave(&mut self, slot: usize);

    /// The sequence is over, and what it computed must not serve anybody.
    fn forget(&mut self, slot: usize);

    /// What the slot holds may be put on the disk, where there is one: a sequence that must leave
    /// nothing there never asks for it.
    fn keep(&mut self, slot: usize);

    /// Hands some of what is to be put on the disk to whoever writes it: a little between two
    /// steps, as much as there is room for while there is nothing else to do. Whether more is left.
    fn spill(&mut self, is_idle: bool) -> bool;

    /// The end: waits a moment until what is to be put on the disk is there.
    fn settle(&mut self);

    /// Gives back the memory of everything that no sequence uses.
    fn trim(&mut self);
}

/// Tokens of one slot for a step, at least one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'t> {
    pub(crate) slot: usize,
    pub(crate) tokens: &'t [u32],
    pub(crate) wanted: Wanted,
}

/// Which tokens of a piece are followed by logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    Last,
    All,
}

/// The storage that suits a graph. `reserved_bytes` are set aside for the keys and values of all
/// sequences together; what can share them takes no more.
pub(crate) fn for_model(
    model: &Model,
    attention: Attention,
    grouped_nodes: usize,
    slots: usize,
    context_length: usize,
    reserved_bytes: u64,
) -> Box<dyn Cache> {
    if let Some(pages) = &model.paged {
        let blocks = reserved_bytes / (pages.block_bytes() as u64).max(1);
        let blocks = usize::try_from(blocks).unwrap_or(usize::MAX);
        let pages = std::sync::Arc::clone(pages);
        return Box::new(Paged::new(pages, slots, context_length, blocks));
    }
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
