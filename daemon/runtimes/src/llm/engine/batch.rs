//! What one mixed step computes: a token of everyone who decodes, and pieces of prompts, in one
//! batch. A pure decision over the states of the sequences.

use super::schedule::{Phase, View};
use super::turn::{SLICE, Turn};

/// Slots, and how many tokens of each to compute, in one run.
pub(super) type Batch = Vec<(usize, usize)>;

/// While others wait for their next token, a piece of a prompt is this much smaller.
const SHARED_PIECE: usize = 4;

/// Every sequence that can decode does. Beside them prompts get what is left of `budget`, or a
/// part of it where somebody decodes: half goes to the first in turn, who therefore never
/// starves, the rest to those that are nearest to their first token.
pub(super) fn batch(sequences: &[View], budget: usize) -> Batch {
    let awake = || sequences.iter().filter(|sequence| !sequence.rests);
    let mut batch: Batch = awake()
        .filter(|sequence| sequence.phase == Phase::Decode)
        .map(|sequence| (sequence.slot, 1))
        .collect();
    let mut prompts: Vec<Prompt> = awake()
        .filter_map(|sequence| match sequence.phase {
            Phase::Prompt { remaining } => Some(Prompt {
                slot: sequence.slot,
                turn: sequence.turn,
                remaining,
                piece: 0,
            }),
            Phase::Decode => None,
        })
        .collect();
    share(prompt_budget(budget, batch.len()), &mut prompts);
    prompts.sort_unstable_by_key(|prompt| prompt.turn);
    batch.extend(
        prompts
            .iter()
            .filter(|prompt| prompt.piece > 0)
            .map(|prompt| (prompt.slot, prompt.piece)),
    );
    batch
}

/// Tokens of prompts beside so many that decode; never none.
fn prompt_budget(budget: usize, decodes: usize) -> usize {
    if decodes == 0 {
        return budget.max(1);
    }
    budget
        .div_ceil(SHARED_PIECE)
        .min(budget.saturating_sub(decodes))
        .max(1)
}

struct Prompt {
    slot: usize,
    turn: Turn,
    remaining: usize,
    piece: usize,
}

impl Prompt {
    fn give(&mut self, tokens: usize) -> usize {
        let given = tokens.min(self.remaining);
        self.remaining -= given;
        self.piece += given;
        given
    }
}

fn share(mut budget: usize, prompts: &mut [Prompt]) {
    if let Some(first) = prompts.iter_mut().min_by_key(|prompt| prompt.turn) {
        budget -= first.give(budget.div_ceil(2));
    }
    prompts.sort_unstable_by_key(|prompt| (prompt.remaining, prompt.turn));
    for prompt in prompts {
        budget -= prompt.give(budget);
    }
}

/// Who gives way when the room does not suffice for all: whose reader does not keep up, or else
/// the last in turn. Never the first of the others, so that at least one always goes on.
pub(super) fn gives_way(sequences: &[View]) -> Option<usize> {
    let first = sequences
        .iter()
        .filter(|sequence| !sequence.is_parked)
        .map(|sequence| sequence.turn)
        .min()?;
    last(sequences, |sequence| sequence.is_parked)
        .or_else(|| last(sequences, |sequence| sequence.turn != first))
}

/// The slot of the last in turn of some.
fn last(sequences: &[View], which: impl Fn(&View) -> bool) -> Option<usize> {
    sequences
        .iter()
        .filter(|sequence| which(sequence))
        .max_by_key(|sequence| sequence.turn)
        .map(|sequence| sequence.slot)
}

/// Tokens that a sequence waits to share rather than computes itself are at least so many.
const WORTH_WAITING: usize = 32;

/// Whether one who has computed `computed` tokens of its prompt should let another one go first,
/// who has a better turn and is at `ahead` of a prompt with which it agrees in `common` tokens.
pub(super) fn waits_for(computed: usize, ahead: usize, common: usize) -> bool {
    computed <= ahead && ahead < common && common >= computed + WORTH_WAITING
}

/// Whether a waiting request that needs so many blocks gets a slot: if they are there beside the
/// `promised` ones, which those at work still need for their prompts, and one more for each of
/// these. Otherwise it would soon take from them what they need. One alone always fits.
pub(super) fn has_room(available: usize, promised: usize, needed: usize, at_work: usize) -> bool {
    at_work == 0 || available >= promised + needed + at_work
}

/// Who at work gives its slot and its blocks to a waiting request whose client has `held` slots:
/// whose reader does not keep up; or who is of a lower class; or who has used up its slice, if its
/// turn is later by more than a slice for each slot that the other one's client holds already.
/// Without that margin, clients who have as many slots each would exchange them all the time.
pub(super) fn makes_way(at_work: &[View], waiting: Turn, held: usize) -> Option<usize> {
    let margin = held as u64 * SLICE;
    let had_more = |next: Turn| next.is_behind_by(waiting) > margin;
    last(at_work, |sequence| sequence.is_parked)
        .or_else(|| last(at_work, |sequence| sequence.turn.is_outclassed_by(waiting)))
        .or_else(|| last(at_work, |sequence| sequence.next.is_some_and(had_more)))
}

#[cfg(test)]
mod tests;
