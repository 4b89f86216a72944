//! What is answered.

use airunner_core::Fault;
use airunner_core::generate::FinishReason;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::{Call, Whole};
use crate::http::openai::identity::{FINGERPRINT, now, unique};
use crate::http::openai::logprobs::ChoiceLogprobs;
use crate::http::openai::usage::{CompletionTimings, CompletionUsage};

/// An answer, or several to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChatCompletion {
    #[serde(flatten)]
    pub(super) head: ChatHead,
    pub(super) choices: Vec<ChatChoice>,
    pub(super) usage: CompletionUsage,
    pub(super) timings: Option<CompletionTimings>,
}

/// What all parts of an answer share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct ChatHead {
    pub(super) id: String,
    pub(super) object: &'static str,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) service_tier: &'static str,
    pub(super) system_fingerprint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChatChoice {
    pub(super) index: u32,
    pub(super) message: ChatAnswer,
    pub(super) logprobs: Option<ChoiceLogprobs>,
    /// `stop`, `length`, `tool_calls` or `function_call`.
    pub(super) finish_reason: &'static str,
}

/// The assistant's turn.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChatAnswer {
    pub(super) role: &'static str,
    /// None where only functions are called.
    pub(super) content: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(super) refusal: Option<()>,
    /// What the model thought before it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<ChatCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<ChatFunction>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct ChatCall {
    pub(super) id: String,
    pub(super) r#type: &'static str,
    pub(super) function: ChatFunction,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct ChatFunction {
    pub(super) name: String,
    /// A JSON object as text.
    pub(super) arguments: String,
}

/// A piece of a streamed answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChatCompletionChunk {
    #[serde(flatten)]
    pub(super) head: ChatHead,
    /// Empty in the last piece, which tells the usage.
    pub(super) choices: Vec<ChunkChoice>,
    /// Only if asked for, and none before the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CompletionUsage>)]
    pub(super) usage: Option<Option<CompletionUsage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timings: Option<CompletionTimings>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChunkChoice {
    pub(super) index: u32,
    pub(super) delta: ChatDelta,
    pub(super) logprobs: Option<ChoiceLogprobs>,
    pub(super) finish_reason: Option<&'static str>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChatDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<Vec<CallDelta>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function_call: Option<FunctionDelta>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct CallDelta {
    pub(super) index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) r#type: Option<&'static str>,
    pub(super) function: FunctionDelta,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct FunctionDelta {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) arguments: String,
}

impl ChatHead {
    pub(super) fn new(model: &str, streams: bool) -> Result<Self, Fault> {
        Ok(Self {
            id: unique("chatcmpl-")?,
            object: if streams {
                "chat.completion.chunk"
            } else {
                "chat.completion"
            },
            created: now(),
            model: model.to_owned(),
            service_tier: "default",
            system_fingerprint: FINGERPRINT,
        })
    }
}

impl ChatCompletion {
    pub(super) fn of(head: ChatHead, answers: Vec<Whole>, shape: Shape) -> Self {
        let dones: Vec<_> = answers.iter().map(|answer| &answer.done).collect();
        let reasoning = answers
            .iter()
            .map(|answer| u64::from(answer.reasoning_tokens))
            .sum();
        Self {
            usage: CompletionUsage::of_prompt(&dones, reasoning),
            timings: dones.first().map(|done| (*done).into()),
            head,
            choices: (0_u32..)
                .zip(answers)
                .map(|(index, answer)| ChatChoice::of(index, answer, shape))
                .collect(),
        }
    }
}

/// What the caller wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// `function_call` in place of `tool_calls`.
    pub(super) legacy: bool,
    pub(super) logprobs: bool,
}

impl ChatChoice {
    fn of(index: u32, answer: Whole, shape: Shape) -> Self {
        let says_nothing = answer.text.is_empty() && !answer.calls.is_empty();
        let mut calls: Vec<ChatCall> = answer.calls.into_iter().map(ChatCall::from).collect();
        let function_call = if shape.legacy && !calls.is_empty() {
            let first = calls.swap_remove(0);
            calls.clear();
            Some(first.function)
        } else {
            None
        };
        Self {
            index,
            message: ChatAnswer {
                role: "assistant",
                content: (!says_nothing).then_some(answer.text),
                refusal: None,
                reasoning_content: Some(answer.reasoning).filter(|thoughts| !thoughts.is_empty()),
                tool_calls: calls,
                function_call,
            },
            logprobs: shape.logprobs.then(|| ChoiceLogprobs::of(&answer.logprobs)),
            finish_reason: finish(answer.done.finish_reason, shape.legacy),
        }
    }
}

impl From<Call> for ChatCall {
    fn from(call: Call) -> Self {
        Self {
            id: call.id,
            r#type: "function",
            function: ChatFunction {
                name: call.name,
                arguments: call.arguments,
            },
        }
    }
}

pub(super) const fn finish(reason: FinishReason, legacy: bool) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::Cancelled => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls if legacy => "function_call",
        FinishReason::ToolCalls => "tool_calls",
    }
}
