//! Sampling of a whole batch, on several threads where that pays.

use airunner_core::Fault;

use super::sequence::Sequence;
use crate::llm::tensor::Logits;

/// Below so many logits, starting a thread takes longer than sampling.
const WORTH_A_THREAD: usize = 1 << 18;

/// Gives each sequence its next token from its row; whether that was its last, in the order given.
pub(super) fn sample(
    sequences: &mut [(usize, &mut Sequence)],
    logits: &Logits,
    threads: usize,
) -> Vec<Result<bool, Fault>> {
    let all = sequences.len() * logits.vocabulary();
    let threads = threads.min(all / WORTH_A_THREAD).min(sequences.len());
    if threads < 2 {
        return sequences
            .iter_mut()
            .map(|(row, sequence)| next(sequence, logits, *row))
            .collect();
    }
    let share = sequences.len().div_ceil(threads);
    std::thread::scope(|scope| {
        let workers: Vec<_> = sequences
            .chunks_mut(share)
            .map(|part| {
                scope.spawn(|| {
                    part.iter_mut()
                        .map(|(row, sequence)| next(sequence, logits, *row))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<_>>| match worker.join() {
            Ok(ends) => ends,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

fn next(sequence: &mut Sequence, logits: &Logits, row: usize) -> Result<bool, Fault> {
    sequence.choose(logits.row(row)?)
}
