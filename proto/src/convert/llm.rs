//! Requests to a language model and the events of an answer.

use std::collections::BTreeMap;
use std::time::Duration;

use airunner_core::generate::{
    ClientId, GenerateRequest, Input, MAX_FORMAT_BYTES, MAX_LOGIT_BIAS, MAX_PROMPT_BYTES, OutputFormat,
    Sampling, ToolChoice,
};
use airunner_core::tokenize::{DetokenizeRequest, TokenizeInput, TokenizeRequest};
use airunner_core::{Fault, ModelName};

use super::common::{asked_priority, millis};
use super::json;
use super::wire::{at_most, at_most_bytes, required};
use crate::v1;

/// Most tokens that can be turned into text in one call.
const MAX_DETOKENIZE: usize = 1 << 20;

impl From<GenerateRequest> for v1::GenerateRequest {
    fn from(request: GenerateRequest) -> Self {
        use v1::generate_request::Input as Wire;
        let input = match request.input {
            Input::Conversation(conversation) => Wire::Conversation(conversation.into()),
            Input::Raw(prompt) => Wire::RawPrompt(prompt),
            Input::Tokens(tokens) => Wire::TokenPrompt(v1::TokenIds { tokens }),
        };
        Self {
            model: request.model.to_string(),
            input: Some(input),
            sampling: Some(request.sampling.into()),
            max_tokens: request.max_tokens,
            stop: request.stop,
            top_logprobs: request.top_logprobs,
            keep_alive: request.keep_alive.map(Into::into),
            priority: v1::Priority::from(request.priority).into(),
            max_wait_ms: request.max_wait.map(millis),
            format: format(request.format),
            tool_choice: tool_choice(request.tool_choice),
            single_tool_call: !request.parallel_tool_calls,
            private: request.is_private,
        }
    }
}

impl TryFrom<v1::GenerateRequest> for GenerateRequest {
    type Error = Fault;

    /// The result has passed [`GenerateRequest::validate`].
    fn try_from(wire: v1::GenerateRequest) -> Result<Self, Fault> {
        use v1::generate_request::Input as Wire;
        let input = match required(wire.input, "input")? {
            Wire::Conversation(conversation) => Input::Conversation(conversation.try_into()?),
            Wire::RawPrompt(prompt) => Input::Raw(prompt),
            Wire::TokenPrompt(prompt) => Input::Tokens(prompt.tokens),
        };
        let request = Self {
            model: ModelName::new(&wire.model)?,
            input,
            sampling: wire
                .sampling
                .map(TryInto::try_into)
                .transpose()?
                .unwrap_or_default(),
            max_tokens: wire.max_tokens,
            stop: wire.stop,
            top_logprobs: wire.top_logprobs,
            keep_alive: wire.keep_alive.map(TryInto::try_into).transpose()?,
            priority: asked_priority(wire.priority)?,
            max_wait: wire.max_wait_ms.map(Duration::from_millis),
            format: wire.format.map(asked_format).transpose()?.unwrap_or_default(),
            tool_choice: wire
                .tool_choice
                .map(asked_tool_choice)
                .transpose()?
                .unwrap_or_default(),
            parallel_tool_calls: !wire.single_tool_call,
            client: ClientId::default(),
            is_private: wire.private,
        };
        request.validate()?;
        Ok(request)
    }
}

fn format(format: OutputFormat) -> Option<v1::OutputFormat> {
    use v1::output_format::Format as Wire;
    let format = match format {
        OutputFormat::Text => return None,
        OutputFormat::JsonObject => Wire::JsonObject(v1::JsonObject {}),
        OutputFormat::JsonSchema(schema) => Wire::JsonSchema(schema.to_string()),
        OutputFormat::Regex(expression) => Wire::Regex(expression),
    };
    Some(v1::OutputFormat { format: Some(format) })
}

fn asked_format(wire: v1::OutputFormat) -> Result<OutputFormat, Fault> {
    use v1::output_format::Format as Wire;
    Ok(match required(wire.format, "format")? {
        Wire::JsonObject(v1::JsonObject {}) => OutputFormat::JsonObject,
        Wire::JsonSchema(schema) => {
            at_most_bytes(&schema, MAX_FORMAT_BYTES, "format.json_schema")?;
            OutputFormat::JsonSchema(json::value(&schema, "format.json_schema")?)
        }
        Wire::Regex(expression) => OutputFormat::Regex(expression),
    })
}

fn tool_choice(choice: ToolChoice) -> Option<v1::ToolChoice> {
    use v1::tool_choice::Choice as Wire;
    let choice = match choice {
        ToolChoice::Auto => return None,
        ToolChoice::None => Wire::None(v1::NoTool {}),
        ToolChoice::Required => Wire::Required(v1::AnyTool {}),
        ToolChoice::Function(name) => Wire::Function(name),
    };
    Some(v1::ToolChoice { choice: Some(choice) })
}

fn asked_tool_choice(wire: v1::ToolChoice) -> Result<ToolChoice, Fault> {
    use v1::tool_choice::Choice as Wire;
    Ok(match required(wire.choice, "tool_choice")? {
        Wire::None(v1::NoTool {}) => ToolChoice::None,
        Wire::Required(v1::AnyTool {}) => ToolChoice::Required,
        Wire::Function(name) => ToolChoice::Function(name),
    })
}

impl From<Sampling> for v1::Sampling {
    fn from(sampling: Sampling) -> Self {
        Self {
            temperature: sampling.temperature,
            top_k: sampling.top_k,
            top_p: sampling.top_p,
            min_p: sampling.min_p,
            repetition_penalty: sampling.repetition_penalty,
            frequency_penalty: sampling.frequency_penalty,
            presence_penalty: sampling.presence_penalty,
            seed: sampling.seed,
            logit_bias: sampling.logit_bias.into_iter().collect(),
        }
    }
}

impl TryFrom<v1::Sampling> for Sampling {
    type Error = Fault;

    fn try_from(wire: v1::Sampling) -> Result<Self, Fault> {
        at_most(wire.logit_bias.len(), MAX_LOGIT_BIAS, "sampling.logit_bias")?;
        Ok(Self {
            temperature: wire.temperature,
            top_k: wire.top_k,
            top_p: wire.top_p,
            min_p: wire.min_p,
            repetition_penalty: wire.repetition_penalty,
            frequency_penalty: wire.frequency_penalty,
            presence_penalty: wire.presence_penalty,
            seed: wire.seed,
            logit_bias: BTreeMap::from_iter(wire.logit_bias),
        })
    }
}

impl From<TokenizeRequest> for v1::TokenizeRequest {
    fn from(request: TokenizeRequest) -> Self {
        use v1::tokenize_request::Input as Wire;
        let (input, add_special_tokens) = match request.input {
            TokenizeInput::Text {
                text,
                add_special_tokens,
            } => (Wire::Text(text), add_special_tokens),
            TokenizeInput::Conversation(conversation) => (Wire::Conversation(conversation.into()), false),
        };
        Self {
            model: request.model.to_string(),
            input: Some(input),
            add_special_tokens,
        }
    }
}

impl TryFrom<v1::TokenizeRequest> for TokenizeRequest {
    type Error = Fault;

    fn try_from(wire: v1::TokenizeRequest) -> Result<Self, Fault> {
        use v1::tokenize_request::Input as Wire;
        let input = match required(wire.input, "input")? {
            Wire::Text(text) => {
                at_most_bytes(&text, MAX_PROMPT_BYTES, "text")?;
                TokenizeInput::Text {
                    text,
                    add_special_tokens: wire.add_special_tokens,
                }
            }
            Wire::Conversation(conversation) => TokenizeInput::Conversation(conversation.try_into()?),
        };
        Ok(Self {
            model: ModelName::new(&wire.model)?,
            input,
        })
    }
}

impl From<DetokenizeRequest> for v1::DetokenizeRequest {
    fn from(request: DetokenizeRequest) -> Self {
        Self {
            model: request.model.to_string(),
            tokens: request.tokens,
            skip_special_tokens: request.skip_special_tokens,
        }
    }
}

impl TryFrom<v1::DetokenizeRequest> for DetokenizeRequest {
    type Error = Fault;

    fn try_from(wire: v1::DetokenizeRequest) -> Result<Self, Fault> {
        at_most(wire.tokens.len(), MAX_DETOKENIZE, "tokens")?;
        Ok(Self {
            model: ModelName::new(&wire.model)?,
            tokens: wire.tokens,
            skip_special_tokens: wire.skip_special_tokens,
        })
    }
}
