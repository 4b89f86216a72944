//! What an answer cost.

use airunner_core::generate::{Done, Timings};
use serde::Serialize;
use utoipa::ToSchema;

/// Tokens of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionUsage {
    pub(super) prompt_tokens: u64,
    /// Of all choices together.
    pub(super) completion_tokens: u64,
    pub(super) total_tokens: u64,
    pub(super) prompt_tokens_details: PromptTokensDetails,
    pub(super) completion_tokens_details: CompletionTokensDetails,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct PromptTokensDetails {
    /// Not computed again.
    pub(super) cached_tokens: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionTokensDetails {
    /// As many as made text by themselves.
    pub(super) reasoning_tokens: u64,
}

impl CompletionUsage {
    /// Of one prompt, however many choices were made from it.
    pub(super) fn of_prompt(dones: &[&Done], reasoning_tokens: u64) -> Self {
        let first = dones.first().map(|done| done.usage).unwrap_or_default();
        let completion_tokens = dones
            .iter()
            .map(|done| u64::from(done.usage.completion_tokens))
            .sum();
        Self {
            prompt_tokens: first.prompt_tokens.into(),
            completion_tokens,
            total_tokens: completion_tokens + u64::from(first.prompt_tokens),
            prompt_tokens_details: PromptTokensDetails {
                cached_tokens: first.cached_tokens.into(),
            },
            completion_tokens_details: CompletionTokensDetails { reasoning_tokens },
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.total_tokens += other.total_tokens;
        self.prompt_tokens_details.cached_tokens += other.prompt_tokens_details.cached_tokens;
        self.completion_tokens_details.reasoning_tokens += other.completion_tokens_details.reasoning_tokens;
    }
}

/// Where the time of the first choice went. The names are those of llama.cpp's server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionTimings {
    /// Waiting for a turn.
    pub(super) queue_ms: f64,
    /// Waiting for the model to load.
    pub(super) load_ms: f64,
    pub(super) cache_n: u32,
    /// Prompt tokens that were computed.
    pub(super) prompt_n: u32,
    pub(super) prompt_ms: f64,
    pub(super) prompt_per_second: f64,
    pub(super) predicted_n: u32,
    pub(super) predicted_ms: f64,
    pub(super) predicted_per_second: f64,
}

impl From<&Done> for CompletionTimings {
    fn from(done: &Done) -> Self {
        let Timings {
            queue,
            load,
            prompt,
            decode,
            prompt_tokens_per_second,
            tokens_per_second,
            first_token: _,
        } = done.timings;
        let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
        Self {
            queue_ms: milliseconds(queue),
            load_ms: milliseconds(load),
            cache_n: done.usage.cached_tokens,
            prompt_n: done.usage.prompt_tokens.saturating_sub(done.usage.cached_tokens),
            prompt_ms: milliseconds(prompt),
            prompt_per_second: finite(prompt_tokens_per_second),
            predicted_n: done.usage.completion_tokens,
            predicted_ms: milliseconds(decode),
            predicted_per_second: finite(tokens_per_second),
        }
    }
}

/// JSON has no infinities.
fn finite(number: f64) -> f64 {
    if number.is_finite() { number } else { 0.0 }
}
