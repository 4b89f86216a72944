//! What is asked for.

use std::collections::BTreeMap;

use airunner_core::Fault;
use airunner_core::chat::Conversation;
use airunner_core::generate::{GenerateRequest, Input, Sampling};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::format::ResponseFormat;
use super::messages::{ChatMessage, conversation};
use super::tools::{ChatTool, Choice, FunctionDefinition, NamedFunction, ToolChoiceField, Tools};
use crate::http::answer::thinking_variables;
use crate::http::api::model_name;
use crate::http::openai::refusal::{unsupported, wrong};
use crate::http::openai::settings::{self, KeepAliveTime, StopTexts};

/// Choices one request may have.
pub(in crate::http::openai) const MAX_CHOICES: u32 = 16;

/// A conversation to answer. Fields that are not listed are accepted and change nothing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ChatCompletionRequest {
    /// Name of an installed model.
    pub(super) model: String,
    pub(super) messages: Vec<ChatMessage>,
    /// Send the answer piece by piece, as server-sent events.
    pub(super) stream: Option<bool>,
    pub(super) stream_options: Option<StreamOptions>,
    /// How many answers to make, 1 to 16.
    pub(super) n: Option<i64>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) top_k: Option<i64>,
    pub(super) min_p: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) frequency_penalty: Option<f32>,
    pub(super) presence_penalty: Option<f32>,
    /// Added to the logits; the keys are ids of tokens.
    pub(super) logit_bias: Option<BTreeMap<String, f32>>,
    /// The same seed with the same request gives the same text.
    pub(super) seed: Option<i64>,
    /// The older name of `max_completion_tokens`.
    pub(super) max_tokens: Option<i64>,
    /// Tokens of one answer, thoughts included; left out: until the context is full.
    pub(super) max_completion_tokens: Option<i64>,
    pub(super) stop: Option<StopTexts>,
    pub(super) logprobs: Option<bool>,
    /// Alternatives per token, 0 to 20; needs `logprobs`.
    pub(super) top_logprobs: Option<i64>,
    pub(super) tools: Option<Vec<ChatTool>>,
    pub(super) tool_choice: Option<ToolChoiceField>,
    pub(super) parallel_tool_calls: Option<bool>,
    /// The older form of `tools`.
    pub(super) functions: Option<Vec<FunctionDefinition>>,
    /// The older form of `tool_choice`: `none`, `auto`, or a name.
    pub(super) function_call: Option<FunctionCallField>,
    pub(super) response_format: Option<ResponseFormat>,
    pub(super) reasoning_effort: Option<String>,
    /// Variables of the chat template, such as `enable_thinking`.
    #[schema(value_type = Option<Object>)]
    pub(super) chat_template_kwargs: Option<Map<String, Value>>,
    /// Go on with the last message, which is the assistant's.
    pub(super) continue_final_message: Option<bool>,
    /// How long the model stays loaded afterwards.
    pub(super) keep_alive: Option<KeepAliveTime>,
    /// Only `text` can be had.
    pub(super) modalities: Option<Vec<String>>,
    /// `false`: nothing of it is put on the disk, even where `models.cache_on_disk` is set.
    pub(super) store: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct StreamOptions {
    /// Tell at the end what the answer cost.
    pub(in crate::http::openai) include_usage: Option<bool>,
}

/// `none`, `auto`, or a function by name.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected \"none\", \"auto\" or an object with a name")]
pub(in crate::http) enum FunctionCallField {
    Mode(String),
    Named(NamedFunction),
}

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    pub(super) generate: GenerateRequest,
    pub(super) choices: u32,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    /// The caller knows `function_call` and not `tool_calls`.
    pub(super) legacy: bool,
}

impl ChatCompletionRequest {
    pub(super) fn plan(mut self) -> Result<Plan, Fault> {
        let model = model_name(&self.model).map_err(|fault| fault.figure("param", "model"))?;
        self.refuse_modalities()?;
        let legacy = self.functions.is_some();
        let Tools { tools, choice } = self.tools()?;
        let conversation = Conversation {
            tools,
            template_variables: self.template_variables()?,
            ..conversation(
                std::mem::take(&mut self.messages),
                self.continue_final_message == Some(true),
            )?
        };
        let generate = GenerateRequest {
            sampling: self.sampling()?,
            max_tokens: self.max_tokens()?,
            top_logprobs: self.alternatives()?,
            stop: StopTexts::list(self.stop),
            keep_alive: self.keep_alive.map(KeepAliveTime::read).transpose()?,
            format: self
                .response_format
                .map(ResponseFormat::read)
                .transpose()?
                .unwrap_or_default(),
            tool_choice: choice,
            parallel_tool_calls: !legacy && self.parallel_tool_calls.unwrap_or(true),
            is_private: self.store == Some(false),
            ..GenerateRequest::new(model, Input::Conversation(conversation))
        };
        Ok(Plan {
            generate,
            choices: settings::count("n", self.n, 1, MAX_CHOICES)?.unwrap_or(1),
            stream: self.stream.unwrap_or(false),
            include_usage: self
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            legacy,
        })
    }

    fn refuse_modalities(&self) -> Result<(), Fault> {
        let other = self.modalities.iter().flatten().find(|name| *name != "text");
        other.map_or(Ok(()), |_| {
            Err(unsupported(
                "modalities",
                "language models answer with text only: leave modalities out",
            ))
        })
    }

    fn tools(&mut self) -> Result<Tools, Fault> {
        match (self.tools.take(), self.functions.take()) {
            (Some(_), Some(_)) => Err(wrong(
                "functions",
                "tools and functions are both given: use tools alone",
            )),
            (None, Some(functions)) => {
                let choice = self
                    .function_call
                    .take()
                    .map(FunctionCallField::choice)
                    .transpose()?;
                Tools::of_functions(functions, choice)
            }
            (tools, None) => Tools::read(tools.unwrap_or_default(), self.tool_choice.take()),
        }
    }

    fn sampling(&mut self) -> Result<Sampling, Fault> {
        Ok(Sampling {
            temperature: self.temperature,
            top_k: top_k(self.top_k)?,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            seed: settings::seed(self.seed),
            logit_bias: settings::logit_bias(self.logit_bias.take())?,
        })
    }

    fn max_tokens(&self) -> Result<Option<u32>, Fault> {
        match self.max_completion_tokens {
            Some(_) => settings::token_limit("max_completion_tokens", self.max_completion_tokens),
            None => settings::token_limit("max_tokens", self.max_tokens),
        }
    }

    fn alternatives(&self) -> Result<Option<u32>, Fault> {
        let alternatives = settings::count("top_logprobs", self.top_logprobs, 0, 20)?;
        match (self.logprobs.unwrap_or(false), alternatives) {
            (true, alternatives) => Ok(Some(alternatives.unwrap_or(0))),
            (false, None | Some(0)) => Ok(None),
            (false, Some(_)) => Err(wrong(
                "top_logprobs",
                "top_logprobs needs logprobs: set logprobs to true",
            )),
        }
    }

    fn template_variables(&mut self) -> Result<Map<String, Value>, Fault> {
        let mut variables = effort_variables("reasoning_effort", self.reasoning_effort.as_deref())?;
        variables.extend(self.chat_template_kwargs.take().unwrap_or_default());
        Ok(variables)
    }
}

impl FunctionCallField {
    fn choice(self) -> Result<Choice, Fault> {
        match self {
            Self::Mode(mode) if mode == "none" => Ok(Choice::None),
            Self::Mode(mode) if mode == "auto" => Ok(Choice::Auto),
            Self::Mode(_) => Err(wrong(
                "function_call",
                "function_call must be \"none\", \"auto\" or an object with a name",
            )),
            Self::Named(function) => Ok(Choice::Function(function.name)),
        }
    }
}

/// 0 and -1 are off.
pub(in crate::http::openai) fn top_k(value: Option<i64>) -> Result<Option<u32>, Fault> {
    match value {
        Some(-1) => Ok(Some(0)),
        value => settings::count("top_k", value, 0, u32::MAX),
    }
}

/// What templates of the field call an effort.
pub(in crate::http::openai) fn effort_variables(
    param: &str,
    effort: Option<&str>,
) -> Result<Map<String, Value>, Fault> {
    let Some(effort) = effort else {
        return Ok(Map::new());
    };
    if !["none", "minimal", "low", "medium", "high", "xhigh", "max"].contains(&effort) {
        return Err(wrong(
            param,
            format!("{param} must be none, minimal, low, medium, high, xhigh or max"),
        ));
    }
    let thinks = effort != "none";
    let mut variables = thinking_variables(thinks);
    if thinks {
        variables.insert("reasoning_effort".to_owned(), effort.into());
    }
    Ok(variables)
}
