//! Requests to a language model, and what comes back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::chat::{Conversation, Message, Tool};
use crate::error::Fault;
use crate::keep_alive::KeepAlive;
use crate::model::{LoadProgress, Queued};
use crate::name::ModelName;
use crate::priority::Priority;

/// A request for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateRequest {
    pub model: ModelName,
    pub input: Input,
    pub sampling: Sampling,
    /// Tokens the answer may have at most; `None`: what the model's maker says, or else until the
    /// context is full; [`UNLIMITED`]: until the context is full, whatever its maker says.
    pub max_tokens: Option<u32>,
    /// The answer ends before the first of these.
    pub stop: Vec<String>,
    /// How many alternatives to report with each token; `None`: no log-probabilities at all.
    pub top_logprobs: Option<u32>,
    pub keep_alive: Option<KeepAlive>,
    pub priority: Priority,
    /// How long the request may wait for its turn; `None`: as long as it takes.
    pub max_wait: Option<Duration>,
    /// What the answer must look like.
    pub format: OutputFormat,
    /// Whether the conversation's tools may or must be called.
    pub tool_choice: ToolChoice,
    /// Whether one answer may call several tools.
    pub parallel_tool_calls: bool,
    /// Whoever asks; the daemon says it, not the one who asks.
    pub client: ClientId,
    /// Nothing of it or its answer is to be put on the disk, whatever the settings say.
    pub is_private: bool,
}

/// One of those who share a model: each gets its turn, however much another one asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u64);

impl ClientId {
    /// A program of this user that is known by its process only.
    #[must_use]
    pub fn program(pid: u32) -> Self {
        Self(u64::from(pid))
    }

    /// Whoever has this key; without one the programs of this machine, which look alike.
    #[must_use]
    pub fn holder(key: Option<crate::access::KeyId>) -> Self {
        key.map_or(Self::default(), |key| Self(key.0 | 1 << 63))
    }

    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }
}

/// What an answer is held to, token by token.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OutputFormat {
    /// Whatever the model writes.
    #[default]
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that the schema allows.
    JsonSchema(Value),
    /// Text that the regular expression matches as a whole, in the syntax of Rust's `regex`.
    Regex(String),
}

/// Whether tools may be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None may be called.
    None,
    /// At least one must be called.
    Required,
    /// This one must be called.
    Function(String),
}

impl GenerateRequest {
    pub fn new(model: ModelName, input: Input) -> Self {
        Self {
            model,
            input,
            sampling: Sampling::default(),
            max_tokens: None,
            stop: Vec::new(),
            top_logprobs: None,
            keep_alive: None,
            priority: Priority::default(),
            max_wait: None,
            format: OutputFormat::default(),
            tool_choice: ToolChoice::default(),
            parallel_tool_calls: true,
            client: ClientId::default(),
            is_private: false,
        }
    }
}

/// What the model is given.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// Rendered by the package's chat template.
    Conversation(Conversation),
    /// Tokenized as it is.
    Raw(String),
    /// Ids of the model's own vocabulary.
    Tokens(Vec<u32>),
}

/// How the next token is chosen. `None` takes the package's setting, and then the default
/// named at each field.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 is exact greedy; default 1.
    pub temperature: Option<f32>,
    /// Keep the k likeliest; 0 is off, the default.
    pub top_k: Option<u32>,
    /// Keep the smallest set whose probability reaches p; 1 is off, the default.
    pub top_p: Option<f32>,
    /// Drop what is less likely than this times the likeliest; 0 is off, the default.
    pub min_p: Option<f32>,
    /// Divides or multiplies the logits of tokens seen in prompt or answer; 1 is off, the default.
    pub repetition_penalty: Option<f32>,
    /// Subtracted per occurrence in the answer; default 0.
    pub frequency_penalty: Option<f32>,
    /// Subtracted once per token present in the answer; default 0.
    pub presence_penalty: Option<f32>,
    /// The same seed with the same request gives the same text.
    pub seed: Option<u64>,
    /// Added to the logits, by token id.
    pub logit_bias: BTreeMap<u32, f32>,
}

/// As many tokens as the context holds.
pub const UNLIMITED: u32 = u32::MAX;
/// At most this many stop strings.
pub const MAX_STOPS: usize = 16;
/// A stop string is at most this long, bytes.
pub const MAX_STOP_BYTES: usize = 1024;
/// At most this many alternatives per token.
pub const MAX_TOP_LOGPROBS: u32 = 20;
/// At most this many entries of `logit_bias`.
pub const MAX_LOGIT_BIAS: usize = 1024;
/// A prompt is at most this long, bytes of all text together.
pub const MAX_PROMPT_BYTES: usize = 16 << 20;
/// A prompt of tokens has at most so many.
pub const MAX_PROMPT_TOKENS: usize = 4 << 20;
/// A schema or a regular expression is at most this long, bytes.
pub const MAX_FORMAT_BYTES: usize = 256 << 10;
/// At most this many tools.
pub const MAX_TOOLS: usize = 512;
/// All tools together are at most this long, bytes.
pub const MAX_TOOLS_BYTES: usize = 1 << 20;

impl GenerateRequest {
    /// Refuses numbers and texts that no model could follow, before anything is loaded for them.
    pub fn validate(&self) -> Result<(), Fault> {
        self.sampling.validate()?;
        if self.max_tokens == Some(0) {
            return Err(Fault::invalid(
                "max_tokens is 0: ask for at least 1, or leave it out to fill the context",
            )
            .figure("param", "max_tokens"));
        }
        if self.stop.len() > MAX_STOPS {
            return Err(
                Fault::invalid(format!("{} stop strings: at most {MAX_STOPS}", self.stop.len()))
                    .figure("param", "stop"),
            );
        }
        if self
            .stop
            .iter()
            .any(|stop| stop.is_empty() || stop.len() > MAX_STOP_BYTES)
        {
            return Err(
                Fault::invalid(format!("a stop string must have 1 to {MAX_STOP_BYTES} bytes"))
                    .figure("param", "stop"),
            );
        }
        if self.top_logprobs.is_some_and(|n| n > MAX_TOP_LOGPROBS) {
            return Err(
                Fault::invalid(format!("top_logprobs must be 0 to {MAX_TOP_LOGPROBS}"))
                    .figure("param", "top_logprobs"),
            );
        }
        self.format.validate()?;
        self.validate_tools()?;
        self.input.validate()
    }

    fn validate_tools(&self) -> Result<(), Fault> {
        let tools: &[Tool] = match &self.input {
            Input::Conversation(conversation) => &conversation.tools,
            Input::Raw(_) | Input::Tokens(_) => &[],
        };
        if tools.len() > MAX_TOOLS {
            return Err(
                Fault::invalid(format!("{} tools: at most {MAX_TOOLS}", tools.len()))
                    .figure("param", "tools"),
            );
        }
        let bytes: usize = tools.iter().map(tool_bytes).sum();
        if bytes > MAX_TOOLS_BYTES {
            return Err(Fault::invalid(format!(
                "the tools have {bytes} bytes, more than the {MAX_TOOLS_BYTES} any request may have: send fewer, \
                 or shorten their schemas"
            ))
            .figure("param", "tools"));
        }
        match &self.tool_choice {
            ToolChoice::Auto | ToolChoice::None => Ok(()),
            ToolChoice::Required if tools.is_empty() => Err(Fault::invalid(
                "tool_choice asks for a call, but there are no tools: send at least one",
            )
            .figure("param", "tool_choice")),
            ToolChoice::Required => Ok(()),
            ToolChoice::Function(name) if tools.iter().any(|tool| &tool.name == name) => Ok(()),
            ToolChoice::Function(name) => {
                let shown: String = name.chars().take(64).collect();
                Err(Fault::invalid(format!(
                    "tool_choice asks for {shown:?}, which is not among the tools"
                ))
                .figure("param", "tool_choice"))
            }
        }
    }
}

impl OutputFormat {
    pub fn validate(&self) -> Result<(), Fault> {
        let bytes = match self {
            Self::Text | Self::JsonObject => 0,
            Self::JsonSchema(schema) => schema.to_string().len(),
            Self::Regex(expression) => expression.len(),
        };
        if bytes > MAX_FORMAT_BYTES {
            return Err(Fault::invalid(format!(
                "the format has {bytes} bytes: at most {MAX_FORMAT_BYTES} are allowed"
            )));
        }
        match self {
            Self::JsonSchema(schema) if !schema.is_object() && !schema.is_boolean() => {
                Err(Fault::invalid("a JSON schema must be an object, true or false"))
            }
            Self::Text | Self::JsonObject | Self::JsonSchema(_) | Self::Regex(_) => Ok(()),
        }
    }
}

impl Input {
    pub fn validate(&self) -> Result<(), Fault> {
        let bytes = match self {
            Self::Raw(prompt) => prompt.len(),
            Self::Tokens(tokens) if tokens.len() > MAX_PROMPT_TOKENS => {
                return Err(too_many_tokens(tokens.len()));
            }
            Self::Conversation(conversation) if conversation.earlier.len() > MAX_PROMPT_TOKENS => {
                return Err(too_many_tokens(conversation.earlier.len()));
            }
            Self::Tokens(_) => 0,
            Self::Conversation(conversation) => conversation_bytes(conversation),
        };
        let empty = match self {
            Self::Raw(prompt) => prompt.is_empty(),
            Self::Tokens(tokens) => tokens.is_empty(),
            Self::Conversation(conversation) => conversation.messages.is_empty(),
        };
        if empty {
            return Err(Fault::invalid(
                "the prompt is empty: send at least one message or one character",
            ));
        }
        if bytes > MAX_PROMPT_BYTES {
            return Err(Fault::invalid(format!(
                "the prompt has {bytes} bytes, more than the {MAX_PROMPT_BYTES} any request may have: shorten it"
            )));
        }
        Ok(())
    }
}

fn too_many_tokens(count: usize) -> Fault {
    Fault::invalid(format!(
        "the prompt has {count} tokens, more than the {MAX_PROMPT_TOKENS} any request may have"
    ))
}

fn tool_bytes(tool: &Tool) -> usize {
    tool.name.len() + tool.description.len() + json_bytes(&tool.parameters)
}

/// Everything but the tools, which have their own limit.
fn conversation_bytes(conversation: &Conversation) -> usize {
    let documents: usize = conversation.documents.iter().map(json_bytes).sum();
    let variables = conversation.template_variables.iter();
    let variables: usize = variables
        .map(|(name, value)| name.len() + json_bytes(value))
        .sum();
    let messages: usize = conversation.messages.iter().map(message_bytes).sum();
    messages + documents + variables
}

fn message_bytes(message: &Message) -> usize {
    let optional = [&message.tool_call_id, &message.name, &message.reasoning];
    let optional: usize = optional.into_iter().flatten().map(String::len).sum();
    let calls = message.tool_calls.iter().map(|call| {
        let arguments = call.arguments.iter();
        let arguments: usize = arguments
            .map(|(name, value)| name.len() + json_bytes(value))
            .sum();
        call.id.len() + call.name.len() + arguments
    });
    message.content.len() + optional + calls.sum::<usize>()
}

/// Bytes of a value as JSON, about.
fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 5,
        Value::String(text) => text.len() + 2,
        Value::Array(list) => 2 + list.iter().map(|value| json_bytes(value) + 1).sum::<usize>(),
        Value::Object(object) => {
            2 + object
                .iter()
                .map(|(name, value)| name.len() + json_bytes(value) + 4)
                .sum::<usize>()
        }
    }
}

impl Sampling {
    /// Every number in its range; NaN and infinities are in none.
    pub fn validate(&self) -> Result<(), Fault> {
        let range = |name: &str, value: Option<f32>, low: f32, high: f32| match value {
            Some(value) if !(low..=high).contains(&value) => Err(Fault::invalid(format!(
                "{name} is {value}: it must be between {low} and {high}"
            ))
            .figure("param", name)),
            Some(_) | None => Ok(()),
        };
        range("temperature", self.temperature, 0.0, 10.0)?;
        range("top_p", self.top_p, 0.0, 1.0)?;
        range("min_p", self.min_p, 0.0, 1.0)?;
        range("repetition_penalty", self.repetition_penalty, 0.01, 10.0)?;
        range("frequency_penalty", self.frequency_penalty, -2.0, 2.0)?;
        range("presence_penalty", self.presence_penalty, -2.0, 2.0)?;
        if self.logit_bias.len() > MAX_LOGIT_BIAS {
            return Err(
                Fault::invalid(format!("logit_bias has more than {MAX_LOGIT_BIAS} entries"))
                    .figure("param", "logit_bias"),
            );
        }
        self.logit_bias
            .values()
            .try_for_each(|&bias| range("logit_bias", Some(bias), -100.0, 100.0))
    }

    /// What this leaves open is taken from `fallback`.
    #[must_use]
    pub fn or(self, fallback: &Self) -> Self {
        Self {
            temperature: self.temperature.or(fallback.temperature),
            top_k: self.top_k.or(fallback.top_k),
            top_p: self.top_p.or(fallback.top_p),
            min_p: self.min_p.or(fallback.min_p),
            repetition_penalty: self.repetition_penalty.or(fallback.repetition_penalty),
            frequency_penalty: self.frequency_penalty.or(fallback.frequency_penalty),
            presence_penalty: self.presence_penalty.or(fallback.presence_penalty),
            seed: self.seed.or(fallback.seed),
            logit_bias: if self.logit_bias.is_empty() {
                fallback.logit_bias.clone()
            } else {
                self.logit_bias
            },
        }
    }
}

/// One message of an answer's stream; [`Done`](Self::Done) is the last.
#[derive(Clone, Debug, PartialEq)]
pub enum GenerateEvent {
    /// Waiting for a turn.
    Queued(Queued),
    /// Waiting for the model.
    Loading(LoadProgress),
    /// Reading the prompt.
    Prompt {
        processed_tokens: u32,
        total_tokens: u32,
        cached_tokens: u32,
    },
    /// A piece of the answer: whole characters, never a part of a stop string.
    Text(TextDelta),
    /// A piece of what the model thinks before it answers.
    Reasoning(TextDelta),
    ToolCall(ToolCallDelta),
    Done(Done),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TextDelta {
    pub text: String,
    /// Of the tokens that made this text; empty unless asked for.
    pub logprobs: Vec<TokenLogprob>,
}

/// How likely the model found a token, before temperature and truncation.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprob {
    pub token_id: u32,
    /// The token's own bytes, which need not be a whole character.
    pub token: Vec<u8>,
    /// Natural logarithm.
    pub logprob: f32,
    /// The likeliest tokens at this place, most likely first.
    pub top: Vec<TokenLogprob>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCallDelta {
    /// Which call of this answer, from 0.
    pub index: u32,
    /// Set in the first delta of a call.
    pub id: Option<String>,
    /// Set in the first delta of a call.
    pub name: Option<String>,
    /// A piece of the arguments' JSON text.
    pub arguments: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub finish_reason: FinishReason,
    /// The stop string that ended the answer.
    pub stop_sequence: Option<String>,
    pub usage: Usage,
    pub timings: Timings,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FinishReason {
    /// The model ended it, or a stop string came.
    Stop,
    /// `max_tokens` or the context is full.
    Length,
    /// The caller or somebody else gave it up.
    Cancelled,
    /// The model called tools.
    ToolCalls,
}

impl FinishReason {
    pub const ALL: [Self; 4] = [Self::Stop, Self::Length, Self::Cancelled, Self::ToolCalls];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Cancelled => "cancelled",
            Self::ToolCalls => "tool_calls",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt_tokens: u32,
    /// Of the prompt tokens, not computed again.
    pub cached_tokens: u32,
    pub completion_tokens: u32,
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timings {
    /// Waiting for a place in the batch.
    pub queue: Duration,
    /// Waiting for the model to load.
    pub load: Duration,
    /// Computing the prompt.
    pub prompt: Duration,
    /// From the request's arrival to the first token.
    pub first_token: Duration,
    /// From the first token to the last.
    pub decode: Duration,
    pub prompt_tokens_per_second: f64,
    pub tokens_per_second: f64,
}

#[cfg(test)]
mod tests;
