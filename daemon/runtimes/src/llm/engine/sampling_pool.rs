//! Sampling of a whole batch, on several threads where that pays.

use std::sync::{Mutex, PoisonError};

use airunner_core::{ErrorKind, Fault};
use airunner_kernels::ThreadPool;

use super::sequence::Sequence;
use crate::llm::tensor::Logits;

/// Below so many logits, waking a thread takes longer than sampling.
const WORTH_A_THREAD: usize = 1 << 18;

/// A sequence that gets its next tokens.
pub(super) struct Draw<'s> {
    pub(super) sequence: &'s mut Sequence,
    /// Of the logits.
    pub(super) row: usize,
    /// Tokens that were computed on trial; the rows of their logits come next.
    pub(super) guessed: &'s [u32],
}

/// Threads that stay, from when they are needed first.
#[derive(Default)]
pub(super) struct Samplers {
    pool: Option<ThreadPool>,
    /// So many threads could not be had.
    too_many: Option<usize>,
}

impl Samplers {
    /// Gives each sequence its next tokens from its rows; whether the last of them was its last,
    /// in the order given.
    pub(super) fn sample(
        &mut self,
        draws: &mut [Draw<'_>],
        logits: &Logits,
        threads: usize,
    ) -> Vec<Result<bool, Fault>> {
        let all = draws.len() * logits.vocabulary();
        let threads = threads.min(all / WORTH_A_THREAD).min(draws.len());
        self.sample_with(draws, logits, threads)
    }

    pub(super) fn sample_with(
        &mut self,
        draws: &mut [Draw<'_>],
        logits: &Logits,
        threads: usize,
    ) -> Vec<Result<bool, Fault>> {
        match self.pool(threads) {
            Some(pool) => spread(pool, draws, logits, threads),
            None => draws.iter_mut().map(|draw| next(draw, logits)).collect(),
        }
    }

    /// `None` where one thread is enough, or no other can be had; with fewer threads where so many
    /// cannot.
    fn pool(&mut self, threads: usize) -> Option<&ThreadPool> {
        if threads < 2 {
            return None;
        }
        let is_small = self.pool.as_ref().is_none_or(|pool| pool.threads() < threads);
        if is_small && self.too_many.is_none_or(|many| threads < many) {
            match ThreadPool::new(threads) {
                Ok(pool) => self.pool = Some(pool),
                Err(error) => {
                    tracing::warn!(%error, threads, "tokens are chosen on fewer threads");
                    self.too_many = Some(threads);
                }
            }
        }
        self.pool.as_ref()
    }
}

fn spread(
    pool: &ThreadPool,
    draws: &mut [Draw<'_>],
    logits: &Logits,
    threads: usize,
) -> Vec<Result<bool, Fault>> {
    let unchosen = || Err(Fault::new(ErrorKind::Internal, "no token was chosen"));
    let tasks: Vec<_> = draws
        .iter_mut()
        .map(|draw| Mutex::new((draw, unchosen())))
        .collect();
    pool.run(threads, tasks.len(), &|task| {
        let mut task = tasks[task].lock().unwrap_or_else(PoisonError::into_inner);
        task.1 = next(task.0, logits);
    });
    let chosen = tasks.into_iter().map(Mutex::into_inner);
    chosen
        .map(|task| task.unwrap_or_else(PoisonError::into_inner).1)
        .collect()
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
