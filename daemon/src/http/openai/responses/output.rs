//! What is answered.

use airunner_core::generate::Done;
use airunner_core::{ErrorKind, Fault};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::http::family::Family;
use crate::http::openai::logprobs::TokenChance;

/// An answer and all that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ResponseObject {
    pub(super) id: String,
    pub(super) object: &'static str,
    /// Seconds since 1970.
    pub(super) created_at: u64,
    pub(super) completed_at: Option<u64>,
    /// `in_progress`, `completed`, `incomplete`, `failed` or `cancelled`.
    pub(super) status: &'static str,
    pub(super) background: bool,
    pub(super) error: Option<ResponseError>,
    pub(super) incomplete_details: Option<IncompleteDetails>,
    pub(super) instructions: Option<String>,
    pub(super) max_output_tokens: Option<i64>,
    #[schema(value_type = Object)]
    pub(super) metadata: Map<String, Value>,
    pub(super) model: String,
    pub(super) output: Vec<OutputItem>,
    pub(super) parallel_tool_calls: bool,
    pub(super) previous_response_id: Option<String>,
    pub(super) reasoning: ReasoningSettings,
    pub(super) service_tier: &'static str,
    pub(super) store: bool,
    pub(super) temperature: Option<f32>,
    #[schema(value_type = Object)]
    pub(super) text: Value,
    /// As it was asked for.
    #[schema(value_type = Object)]
    pub(super) tool_choice: Value,
    #[schema(value_type = Vec<Object>)]
    pub(super) tools: Vec<Value>,
    pub(super) top_logprobs: i64,
    pub(super) top_p: Option<f32>,
    pub(super) truncation: &'static str,
    /// Once it is known.
    pub(super) usage: Option<ResponseUsage>,
    pub(super) user: Option<String>,
}

/// How much the model is to think.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(in crate::http) struct ReasoningSettings {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
    pub(super) effort: Option<String>,
    /// Accepted; thoughts are told as they are.
    pub(super) summary: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct ResponseError {
    pub(super) code: &'static str,
    pub(super) message: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct IncompleteDetails {
    pub(super) reason: &'static str,
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::http) enum OutputItem {
    Message {
        id: String,
        status: &'static str,
        role: &'static str,
        content: Vec<OutputPart>,
    },
    Reasoning {
        id: String,
        status: &'static str,
        #[schema(value_type = Vec<Object>)]
        summary: Vec<Value>,
        content: Vec<OutputPart>,
    },
    FunctionCall {
        id: String,
        status: &'static str,
        call_id: String,
        name: String,
        arguments: String,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::http) enum OutputPart {
    OutputText {
        text: String,
        #[schema(value_type = Vec<Object>)]
        annotations: Vec<Value>,
        logprobs: Vec<TokenChance>,
    },
    ReasoningText {
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct ResponseUsage {
    input_tokens: u32,
    input_tokens_details: InputTokensDetails,
    output_tokens: u32,
    output_tokens_details: OutputTokensDetails,
    total_tokens: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct InputTokensDetails {
    /// Not computed again.
    cached_tokens: u32,
    /// Writing to the cache costs nothing here.
    cache_write_tokens: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct OutputTokensDetails {
    /// As many as made text by themselves.
    reasoning_tokens: u32,
}

impl ResponseObject {
    pub(super) fn new(id: String, created_at: u64, model: String) -> Self {
        Self {
            id,
            object: "response",
            created_at,
            completed_at: None,
            status: "in_progress",
            background: false,
            error: None,
            incomplete_details: None,
            instructions: None,
            max_output_tokens: None,
            metadata: Map::new(),
            model,
            output: Vec::new(),
            parallel_tool_calls: true,
            previous_response_id: None,
            reasoning: ReasoningSettings::default(),
            service_tier: "default",
            store: true,
            temperature: None,
            text: json!({"format": {"type": "text"}}),
            tool_choice: "auto".into(),
            tools: Vec::new(),
            top_logprobs: 0,
            top_p: None,
            truncation: "disabled",
            usage: None,
            user: None,
        }
    }

    pub(super) fn fail(&mut self, fault: &Fault) {
        let told = Family::OpenAi.error(fault);
        self.status = "failed";
        self.error = Some(ResponseError {
            code: match fault.kind.http_status() {
                429 => "rate_limit_exceeded",
                400..500 if fault.kind != ErrorKind::Cancelled => "invalid_prompt",
                _ => "server_error",
            },
            message: told["error"]["message"].as_str().unwrap_or_default().to_owned(),
        });
    }

    /// A value of our own types always becomes JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl ResponseUsage {
    pub(super) fn of(done: &Done, reasoning_tokens: u32) -> Self {
        let usage = done.usage;
        Self {
            input_tokens: usage.prompt_tokens,
            input_tokens_details: InputTokensDetails {
                cached_tokens: usage.cached_tokens,
                cache_write_tokens: 0,
            },
            output_tokens: usage.completion_tokens,
            output_tokens_details: OutputTokensDetails { reasoning_tokens },
            total_tokens: u64::from(usage.prompt_tokens) + u64::from(usage.completion_tokens),
        }
    }
}
