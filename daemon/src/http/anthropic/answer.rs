//! An answer as clients of Anthropic read it.

use airunner_core::Fault;
use airunner_core::generate::{Done, FinishReason, Usage};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::super::answer::{Call, Whole, complete};

/// All of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(super) struct MessageOut {
    id: String,
    /// `message`.
    r#type: &'static str,
    /// `assistant`.
    role: &'static str,
    model: String,
    content: Vec<BlockOut>,
    /// `end_turn`, `max_tokens`, `stop_sequence`, `tool_use` or `model_context_window_exceeded`.
    stop_reason: Option<&'static str>,
    stop_sequence: Option<String>,
    usage: UsageOut,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum BlockOut {
    Text {
        text: String,
    },
    Thinking {
        thinking: String,
        /// A checksum, which nobody checks.
        signature: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[schema(value_type = Object)]
        input: Map<String, Value>,
    },
}

/// Tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct UsageOut {
    /// That had to be computed.
    input_tokens: u32,
    cache_creation_input_tokens: u32,
    /// That were known from an earlier request.
    cache_read_input_tokens: u32,
    output_tokens: u32,
}

impl UsageOut {
    pub(super) fn new(usage: Usage) -> Self {
        Self {
            input_tokens: usage.prompt_tokens.saturating_sub(usage.cached_tokens),
            cache_creation_input_tokens: 0,
            cache_read_input_tokens: usage.cached_tokens,
            output_tokens: usage.completion_tokens,
        }
    }
}

/// What an answer is called, who gives it, and how much of it the client wants to see.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) shows_thinking: bool,
    pub(super) max_tokens: u32,
}

impl Head {
    /// With a name that nobody can guess.
    pub(super) fn new(model: String, shows_thinking: bool, max_tokens: u32) -> Result<Self, Fault> {
        let mut bytes = [0; 16];
        rustls::crypto::ring::default_provider()
            .secure_random
            .fill(&mut bytes)
            .map_err(|_| Fault::internal("the system gives no random numbers"))?;
        Ok(Self {
            id: format!("msg_{:032x}", u128::from_be_bytes(bytes)),
            model,
            shows_thinking,
            max_tokens,
        })
    }

    /// Before anything of it is there.
    pub(super) fn begin(&self, usage: UsageOut) -> MessageOut {
        MessageOut {
            id: self.id.clone(),
            r#type: "message",
            role: "assistant",
            model: self.model.clone(),
            content: Vec::new(),
            stop_reason: None,
            stop_sequence: None,
            usage,
        }
    }

    pub(super) fn whole(&self, whole: Whole) -> MessageOut {
        let thinking = (self.shows_thinking && !whole.reasoning.is_empty()).then(|| BlockOut::Thinking {
            signature: signature(&whole.reasoning),
            thinking: whole.reasoning,
        });
        let text = (!whole.text.is_empty()).then_some(BlockOut::Text { text: whole.text });
        let calls = complete(whole.calls, &whole.done).into_iter().map(tool_use);
        MessageOut {
            content: thinking.into_iter().chain(text).chain(calls).collect(),
            stop_reason: Some(self.stop_reason(&whole.done)),
            stop_sequence: whole.done.stop_sequence,
            ..self.begin(UsageOut::new(whole.done.usage))
        }
    }

    pub(super) fn stop_reason(&self, done: &Done) -> &'static str {
        match done.finish_reason {
            FinishReason::Stop if done.stop_sequence.is_some() => "stop_sequence",
            FinishReason::Stop | FinishReason::Cancelled => "end_turn",
            FinishReason::ToolCalls => "tool_use",
            FinishReason::Length if done.usage.completion_tokens < self.max_tokens => {
                "model_context_window_exceeded"
            }
            FinishReason::Length => "max_tokens",
        }
    }
}

fn tool_use(call: Call) -> BlockOut {
    BlockOut::ToolUse {
        id: call.id,
        name: call.name,
        // What a model wrote that is no object is passed on as far as it can be.
        input: match serde_json::from_str(&call.arguments) {
            Ok(Value::Object(input)) => input,
            Ok(_) | Err(_) => Map::new(),
        },
    }
}

/// Clients want to see one; it means nothing here.
pub(super) fn signature(thinking: &str) -> String {
    let hash = Sha256::digest(thinking.as_bytes());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
