//! Sampling of a whole batch, on several threads where that pays.

use airunner_core::Fault;

use super::sequence::Sequence;
use crate::llm::tensor::Logits;

/// Below so many logits, starting a thread takes longer than sampling.
const WORTH_A_THREAD: usize = 1 << 18;

/// A sequence that gets its next tokens.
pub(super) struct Draw<'s> {
    pub(super) sequence: &'s mut Sequence,
    /// Of the logits.
    pub(super) row: usize,
    /// Tokens that were computed on trial; the rows of their logits come next.
    pub(super) guessed: &'s [u32],
}

/// Gives each sequence its next tokens from its rows; whether the last of them was its last, in
/// the order given.
pub(super) fn sample(
    sequences: &mut [Draw<'_>],
    logits: &Logits,
    threads: usize,
) -> Vec<Result<bool, Fault>> {
    let all = sequences.len() * logits.vocabulary();
    let threads = threads.min(all / WORTH_A_THREAD).min(sequences.len());
    if threads < 2 {
        return sequences.iter_mut().map(|draw| next(draw, logits)).collect();
    }
    let share = sequences.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = sequences
            .chunks_mut(share)
            .map(|part| scope.spawn(|| part.iter_mut().map(|draw| next(draw, logits)).collect::<Vec<_>>()))
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| match worker.join() {
            Ok(ends) => ends,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

/// One token by its row, and more as long as the one guessed was the one chosen.
fn next(draw: &mut Draw<'_>, logits: &Logits) -> Result<bool, Fault> {
    for (step, guess) in draw.guessed.iter().enumerate() {
        let is_last = draw.sequence.choose(logits.row(draw.row + step)?)?;
        if is_last || draw.sequence.tokens.last() != Some(guess) {
            return Ok(is_last);
        }
    }
    draw.sequence.choose(logits.row(draw.row + draw.guessed.len())?)
}
