//! Counting an answer, however it ends.

use airunner_core::generate::GenerateEvent;
use airunner_core::usage::UsageEvent;
use airunner_core::{Fault, ModelName};
use tokio::time::Instant;

use crate::usage::Usage;

/// An answer under way. Dropped without an end, such as by a caller who left, it counts as an
/// answer of unknown length.
pub(super) struct Counting {
    usage: Usage,
    model: ModelName,
    since: Instant,
    ended: bool,
}

impl Counting {
    pub(super) fn new(usage: Usage, model: ModelName) -> Self {
        Self {
            usage,
            model,
            since: Instant::now(),
            ended: false,
        }
    }

    /// Counts the outcome and hands it on.
    pub(super) fn end<E>(
        mut self,
        outcome: Result<Result<GenerateEvent, E>, Fault>,
    ) -> Result<Result<GenerateEvent, E>, Fault> {
        let tokens = match &outcome {
            Ok(Ok(GenerateEvent::Done(done))) => {
                self.usage.metrics().time(&self.model, &done.timings);
                (done.usage.prompt_tokens, done.usage.completion_tokens)
            }
            Ok(_) | Err(_) => (0, 0),
        };
        self.count(tokens, outcome.is_err());
        outcome
    }

    fn count(&mut self, (prompt, completion): (u32, u32), failed: bool) {
        self.ended = true;
        self.usage.note(&UsageEvent::Answered {
            model: self.model.clone(),
            prompt_tokens: prompt.into(),
            completion_tokens: completion.into(),
            busy: self.since.elapsed(),
            failed,
        });
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        if !self.ended {
            self.count((0, 0), false);
        }
    }
}
