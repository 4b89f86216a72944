//! What comes back of a model, in our own language.

use airunner_core::Fault;
use airunner_core::chat::{Message, ToolCall};
use airunner_core::generate::{Done, TextDelta, Timings, TokenLogprob, ToolCallDelta, Usage};
use airunner_core::model::{LoadProgress, Queued};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::request::CallBody;
use crate::http::answer::{self, Call, finite};
use crate::http::native::views::milliseconds;

/// An answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ChatReply {
    pub(super) content: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<CallBody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logprobs: Vec<LogprobBody>,
    #[serde(flatten)]
    pub(super) end: DoneBody,
}

/// What a text was gone on with.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CompletionReply {
    pub(super) text: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) logprobs: Vec<LogprobBody>,
    #[serde(flatten)]
    pub(super) end: DoneBody,
}

/// How an answer ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct DoneBody {
    pub(in crate::http::native) model: String,
    /// `stop`, `length`, `tool_calls` or `cancelled`.
    pub(in crate::http::native) finish_reason: &'static str,
    /// The stop string that ended it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) stop_sequence: Option<String>,
    /// The stored conversation it was added to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) conversation_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) usage: Option<UsageBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) timings: Option<TimingsBody>,
}

/// Tokens.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct UsageBody {
    prompt_tokens: u32,
    /// Of the prompt's, not computed again.
    cached_tokens: u32,
    completion_tokens: u32,
}

/// Where the time went, milliseconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct TimingsBody {
    queue_ms: f64,
    load_ms: f64,
    prompt_ms: f64,
    first_token_ms: f64,
    decode_ms: f64,
    prompt_tokens_per_second: f64,
    tokens_per_second: f64,
}

/// How likely the model found a token.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct LogprobBody {
    /// Bytes that are no whole character are shown as U+FFFD.
    token: String,
    token_id: u32,
    /// Natural logarithm.
    logprob: f32,
    /// The likeliest tokens at this place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    top: Vec<LogprobBody>,
}

/// One event of a streamed answer; `done` or `error` is the last.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::http::native) enum Said {
    /// The request was taken.
    Start {
        model: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        conversation_id: Option<String>,
    },
    /// It waits for its turn.
    Queued {
        /// Requests before it.
        position: u32,
        #[serde(skip_serializing_if = "Option::is_none")]
        estimated_wait_ms: Option<f64>,
        /// For a person.
        reason: String,
    },
    /// The model is loaded.
    Loading {
        stage: &'static str,
        /// Of the whole load, 0 to 1.
        progress: f32,
    },
    /// A piece of the answer.
    Chunk {
        content: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        logprobs: Vec<LogprobBody>,
    },
    /// A piece of what the model thinks.
    Reasoning {
        content: String,
    },
    /// A piece of a call of a function.
    ToolCall {
        /// Which call of this answer.
        index: u32,
        /// In the first piece.
        #[serde(skip_serializing_if = "Option::is_none")]
        call_id: Option<String>,
        /// In the first piece.
        #[serde(skip_serializing_if = "Option::is_none")]
        name: Option<String>,
        /// A piece of the arguments' JSON text.
        arguments: String,
    },
    Done(DoneBody),
    Error {
        #[schema(value_type = Object)]
        error: Value,
    },
}

impl Said {
    /// Its name as a server-sent event.
    pub(in crate::http::native) const fn name(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Queued { .. } => "queued",
            Self::Loading { .. } => "loading",
            Self::Chunk { .. } => "chunk",
            Self::Reasoning { .. } => "reasoning",
            Self::ToolCall { .. } => "tool_call",
            Self::Done(_) => "done",
            Self::Error { .. } => "error",
        }
    }

    /// Nothing comes after it.
    pub(in crate::http::native) const fn is_last(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Error { .. })
    }

    pub(in crate::http::native) fn queued(queued: Queued) -> Self {
        Self::Queued {
            position: queued.position,
            estimated_wait_ms: queued.estimated_wait.map(milliseconds),
            reason: queued.reason,
        }
    }

    pub(in crate::http::native) const fn loading(progress: LoadProgress) -> Self {
        Self::Loading {
            stage: progress.stage.as_str(),
            progress: progress.fraction,
        }
    }

    pub(super) fn chunk(delta: TextDelta) -> Self {
        Self::Chunk {
            content: delta.text,
            logprobs: logprobs(delta.logprobs),
        }
    }

    pub(super) fn call(delta: ToolCallDelta) -> Self {
        Self::ToolCall {
            index: delta.index,
            call_id: delta.id,
            name: delta.name,
            arguments: delta.arguments,
        }
    }

    pub(in crate::http::native) fn error(fault: &Fault) -> Self {
        let mut body = crate::http::family::Family::Native.error(fault);
        Self::Error {
            error: body["error"].take(),
        }
    }
}

impl DoneBody {
    pub(super) fn new(model: String, conversation_id: Option<String>, done: &Done) -> Self {
        Self {
            model,
            finish_reason: done.finish_reason.as_str(),
            stop_sequence: done.stop_sequence.clone(),
            conversation_id,
            usage: Some(usage(done.usage)),
            timings: Some(timings(&done.timings)),
        }
    }

    /// Given up before its end.
    pub(in crate::http::native) const fn cancelled(model: String) -> Self {
        Self {
            model,
            finish_reason: "cancelled",
            stop_sequence: None,
            conversation_id: None,
            usage: None,
            timings: None,
        }
    }
}

const fn usage(usage: Usage) -> UsageBody {
    UsageBody {
        prompt_tokens: usage.prompt_tokens,
        cached_tokens: usage.cached_tokens,
        completion_tokens: usage.completion_tokens,
    }
}

fn timings(timings: &Timings) -> TimingsBody {
    TimingsBody {
        queue_ms: milliseconds(timings.queue),
        load_ms: milliseconds(timings.load),
        prompt_ms: milliseconds(timings.prompt),
        first_token_ms: milliseconds(timings.first_token),
        decode_ms: milliseconds(timings.decode),
        prompt_tokens_per_second: timings.prompt_tokens_per_second,
        tokens_per_second: timings.tokens_per_second,
    }
}

pub(super) fn logprobs(logprobs: Vec<TokenLogprob>) -> Vec<LogprobBody> {
    let body = |token: TokenLogprob| LogprobBody {
        token: String::from_utf8_lossy(&token.token).into_owned(),
        token_id: token.token_id,
        logprob: finite(token.logprob),
        top: self::logprobs(token.top),
    };
    logprobs.into_iter().map(body).collect()
}

/// The calls of an answer. Arguments that are no JSON object, which only a model that is not held
/// to them writes, are told under a name of their own instead of being lost.
pub(super) fn calls(calls: Vec<Call>) -> Vec<CallBody> {
    let arguments = |text: String| match serde_json::from_str(&text) {
        Ok(Value::Object(arguments)) => arguments,
        Ok(_) | Err(_) if text.is_empty() => Map::new(),
        Ok(_) | Err(_) => Map::from_iter([("unreadable".to_owned(), Value::String(text))]),
    };
    let body = |call: Call| CallBody {
        id: call.id,
        name: call.name,
        arguments: arguments(call.arguments),
    };
    calls.into_iter().map(body).collect()
}

/// What was said so far of an answer.
#[derive(Debug, Default)]
pub(in crate::http::native) struct Gathered {
    text: String,
    reasoning: String,
    calls: Vec<Call>,
}

impl Gathered {
    pub(in crate::http::native) fn hear(&mut self, said: &Said) {
        match said {
            Said::Chunk { content, .. } => self.text.push_str(content),
            Said::Reasoning { content } => self.reasoning.push_str(content),
            Said::ToolCall {
                index,
                call_id,
                name,
                arguments,
            } => {
                let delta = ToolCallDelta {
                    index: *index,
                    id: call_id.clone(),
                    name: name.clone(),
                    arguments: arguments.clone(),
                };
                answer::add(&mut self.calls, delta);
            }
            Said::Start { .. }
            | Said::Queued { .. }
            | Said::Loading { .. }
            | Said::Done(_)
            | Said::Error { .. } => {}
        }
    }

    /// As a message of its conversation.
    pub(in crate::http::native) fn message(self) -> Message {
        message(self.text, self.reasoning, calls(self.calls))
    }
}

/// An answer as a message of its conversation.
pub(super) fn message(content: String, reasoning: String, calls: Vec<CallBody>) -> Message {
    Message {
        tool_calls: calls.into_iter().map(ToolCall::from).collect(),
        reasoning: (!reasoning.is_empty()).then_some(reasoning),
        ..Message::new("assistant", content)
    }
}
