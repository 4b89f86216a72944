//! The events of an answer's stream.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::generate::{
    Done, FinishReason, GenerateEvent, TextDelta, Timings, TokenLogprob, ToolCallDelta, Usage,
};

use super::wire::{answered, known, non_empty, not_understood};
use crate::v1;

impl From<GenerateEvent> for v1::GenerateResponse {
    fn from(event: GenerateEvent) -> Self {
        use v1::generate_response::Event as Wire;
        let event = match event {
            GenerateEvent::Queued(queued) => Wire::Queued(queued.into()),
            GenerateEvent::Loading(progress) => Wire::Loading(progress.into()),
            GenerateEvent::Prompt {
                processed_tokens,
                total_tokens,
                cached_tokens,
            } => Wire::Prompt(v1::PromptProgress {
                processed_tokens,
                total_tokens,
                cached_tokens,
            }),
            GenerateEvent::Text(TextDelta { text, logprobs }) => Wire::Text(v1::TextDelta {
                text,
                logprobs: to_wire(logprobs),
            }),
            GenerateEvent::Reasoning(TextDelta { text, logprobs }) => Wire::Reasoning(v1::ReasoningDelta {
                text,
                logprobs: to_wire(logprobs),
            }),
            GenerateEvent::ToolCall(delta) => Wire::ToolCall(delta.into()),
            GenerateEvent::Done(done) => Wire::Done(done.into()),
        };
        Self { event: Some(event) }
    }
}

impl TryFrom<v1::GenerateResponse> for GenerateEvent {
    type Error = Fault;

    fn try_from(wire: v1::GenerateResponse) -> Result<Self, Fault> {
        use v1::generate_response::Event as Wire;
        Ok(match answered(wire.event, "event")? {
            Wire::Queued(queued) => Self::Queued(queued.into()),
            Wire::Loading(progress) => Self::Loading(progress.try_into()?),
            Wire::Prompt(v1::PromptProgress {
                processed_tokens,
                total_tokens,
                cached_tokens,
            }) => Self::Prompt {
                processed_tokens,
                total_tokens,
                cached_tokens,
            },
            Wire::Text(v1::TextDelta { text, logprobs }) => Self::Text(TextDelta {
                text,
                logprobs: from_wire(logprobs)?,
            }),
            Wire::Reasoning(v1::ReasoningDelta { text, logprobs }) => Self::Reasoning(TextDelta {
                text,
                logprobs: from_wire(logprobs)?,
            }),
            Wire::ToolCall(delta) => Self::ToolCall(delta.into()),
            Wire::Done(done) => Self::Done(done.try_into()?),
        })
    }
}

fn to_wire(logprobs: Vec<TokenLogprob>) -> Vec<v1::TokenLogprob> {
    let one = |token: TokenLogprob| v1::TokenLogprob {
        token_id: token.token_id,
        token: token.token,
        logprob: token.logprob,
        top: to_wire(token.top),
    };
    logprobs.into_iter().map(one).collect()
}

/// Recursion is bounded: the decoder of the wire format refuses deep messages before.
fn from_wire(logprobs: Vec<v1::TokenLogprob>) -> Result<Vec<TokenLogprob>, Fault> {
    let one = |wire: v1::TokenLogprob| {
        if wire.logprob.is_nan() {
            return Err(not_understood("logprob", "it is not a number"));
        }
        Ok(TokenLogprob {
            token_id: wire.token_id,
            token: wire.token,
            logprob: wire.logprob,
            top: from_wire(wire.top)?,
        })
    };
    logprobs.into_iter().map(one).collect()
}

impl From<ToolCallDelta> for v1::ToolCallDelta {
    fn from(delta: ToolCallDelta) -> Self {
        Self {
            index: delta.index,
            id: delta.id.unwrap_or_default(),
            name: delta.name.unwrap_or_default(),
            arguments_json_delta: delta.arguments,
        }
    }
}

impl From<v1::ToolCallDelta> for ToolCallDelta {
    fn from(wire: v1::ToolCallDelta) -> Self {
        Self {
            index: wire.index,
            id: non_empty(wire.id),
            name: non_empty(wire.name),
            arguments: wire.arguments_json_delta,
        }
    }
}

impl From<Done> for v1::Done {
    fn from(done: Done) -> Self {
        Self {
            finish_reason: done.finish_reason.as_str().to_owned(),
            usage: Some(done.usage.into()),
            timings: Some(done.timings.into()),
            stop_sequence: done.stop_sequence,
        }
    }
}

impl TryFrom<v1::Done> for Done {
    type Error = Fault;

    fn try_from(wire: v1::Done) -> Result<Self, Fault> {
        let reason = FinishReason::parse(&wire.finish_reason);
        Ok(Self {
            finish_reason: known(reason, "done.finish_reason", &wire.finish_reason)?,
            usage: answered(wire.usage, "done.usage")?.into(),
            timings: answered(wire.timings, "done.timings")?.try_into()?,
            stop_sequence: wire.stop_sequence,
        })
    }
}

impl From<Usage> for v1::Usage {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
        }
    }
}

impl From<v1::Usage> for Usage {
    fn from(wire: v1::Usage) -> Self {
        Self {
            prompt_tokens: wire.prompt_tokens,
            cached_tokens: wire.cached_tokens,
            completion_tokens: wire.completion_tokens,
        }
    }
}

impl From<Timings> for v1::Timings {
    fn from(timings: Timings) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            queue_ms: ms(timings.queue),
            load_ms: ms(timings.load),
            prompt_ms: ms(timings.prompt),
            first_token_ms: ms(timings.first_token),
            decode_ms: ms(timings.decode),
            prompt_tokens_per_second: timings.prompt_tokens_per_second,
            tokens_per_second: timings.tokens_per_second,
        }
    }
}

impl TryFrom<v1::Timings> for Timings {
    type Error = Fault;

    fn try_from(wire: v1::Timings) -> Result<Self, Fault> {
        let time = |ms: f64, field| {
            Duration::try_from_secs_f64(ms / 1e3).map_err(|error| not_understood(field, &error.to_string()))
        };
        let rate = |value: f64, field| {
            let usable = value.is_finite() && value >= 0.0;
            if usable {
                Ok(value)
            } else {
                Err(not_understood(field, "it is no rate"))
            }
        };
        Ok(Self {
            queue: time(wire.queue_ms, "timings.queue_ms")?,
            load: time(wire.load_ms, "timings.load_ms")?,
            prompt: time(wire.prompt_ms, "timings.prompt_ms")?,
            first_token: time(wire.first_token_ms, "timings.first_token_ms")?,
            decode: time(wire.decode_ms, "timings.decode_ms")?,
            prompt_tokens_per_second: rate(
                wire.prompt_tokens_per_second,
                "timings.prompt_tokens_per_second",
            )?,
            tokens_per_second: rate(wire.tokens_per_second, "timings.tokens_per_second")?,
        })
    }
}
