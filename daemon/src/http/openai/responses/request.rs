//! What is asked for.

use airunner_core::chat::{Conversation, Message};
use airunner_core::generate::{GenerateRequest, Input, OutputFormat, Sampling};
use airunner_core::{Fault, ModelName};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::items::InputField;
use super::output::{ReasoningSettings, ResponseObject};
use crate::http::api::model_name;
use crate::http::openai::chat::format::NamedSchema;
use crate::http::openai::chat::request::{effort_variables, top_k};
use crate::http::openai::chat::tools::{FunctionDefinition, Tools, bounded, mode_of, not_a_function};
use crate::http::openai::refusal::{unsupported, wrong};
use crate::http::openai::settings::{self, KeepAliveTime};

/// Something to answer. Fields that are not listed are accepted and change nothing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ResponseRequest {
    /// Name of an installed model.
    pub(super) model: String,
    pub(super) input: InputField,
    /// What the model is told before everything else; not taken over from the answer before.
    pub(super) instructions: Option<String>,
    /// The answer this one goes on from, which must have been stored.
    pub(super) previous_response_id: Option<String>,
    /// Keep the answer; true if left out. `false`: nothing of it is put on the disk.
    pub(super) store: Option<bool>,
    /// Send the answer as server-sent events.
    pub(super) stream: Option<bool>,
    /// Answer at once that it has begun; ask for the outcome later.
    pub(super) background: Option<bool>,
    pub(super) temperature: Option<f32>,
    pub(super) top_p: Option<f32>,
    pub(super) top_k: Option<i64>,
    pub(super) min_p: Option<f32>,
    pub(super) repetition_penalty: Option<f32>,
    pub(super) seed: Option<i64>,
    /// Tokens of the answer, thoughts included; left out: until the context is full.
    pub(super) max_output_tokens: Option<i64>,
    pub(super) tools: Option<Vec<ResponseTool>>,
    /// `none`, `auto`, `required`, or an object that names a function or some of them.
    #[schema(value_type = Option<Object>)]
    pub(super) tool_choice: Option<Value>,
    pub(super) parallel_tool_calls: Option<bool>,
    pub(super) text: Option<TextSettings>,
    pub(super) reasoning: Option<ReasoningSettings>,
    /// `message.output_text.logprobs` asks for log-probabilities; others change nothing.
    pub(super) include: Option<Vec<String>>,
    /// Alternatives per token, 0 to 20; asks for log-probabilities as well.
    pub(super) top_logprobs: Option<i64>,
    /// Texts of the caller's, told again with the answer.
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) user: Option<String>,
    /// Variables of the chat template, such as `enable_thinking`.
    #[schema(value_type = Option<Object>)]
    pub(super) chat_template_kwargs: Option<Map<String, Value>>,
    /// How long the model stays loaded afterwards.
    pub(super) keep_alive: Option<KeepAliveTime>,
    /// Cannot be had: use `previous_response_id`.
    #[schema(value_type = Option<Object>)]
    pub(super) conversation: Option<Value>,
    /// Cannot be had: send the text itself.
    #[schema(value_type = Option<Object>)]
    pub(super) prompt: Option<Value>,
}

/// A function the model may call.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ResponseTool {
    /// Only `function` can be had.
    r#type: String,
    name: Option<String>,
    description: Option<String>,
    /// JSON schema of the arguments; left out: there are none.
    #[schema(value_type = Option<Object>)]
    parameters: Option<Value>,
    strict: Option<bool>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextSettings {
    format: Option<TextFormat>,
}

/// The form of the answer. Answers follow it by construction.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct TextFormat {
    /// `text`, `json_object` or `json_schema`.
    r#type: String,
    /// Of a schema: letters, digits, `_` and `-`, at most 64.
    name: Option<String>,
    description: Option<String>,
    #[schema(value_type = Option<Object>)]
    schema: Option<Value>,
    strict: Option<bool>,
}

/// Of the object form of `tool_choice`.
#[derive(Deserialize)]
struct NamedChoice {
    r#type: String,
    name: Option<String>,
    mode: Option<String>,
    tools: Option<Vec<NamedChoice>>,
}

impl ResponseRequest {
    pub(super) fn model(&self) -> Result<ModelName, Fault> {
        model_name(&self.model).map_err(|fault| fault.figure("param", "model"))
    }

    /// Combinations that cannot be had.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if self.conversation.as_ref().is_some_and(|value| !value.is_null()) {
            return Err(unsupported(
                "conversation",
                "conversations are not kept here: go on with previous_response_id",
            ));
        }
        if self.prompt.as_ref().is_some_and(|value| !value.is_null()) {
            return Err(unsupported(
                "prompt",
                "prompts are not kept here: send the text itself",
            ));
        }
        if self.background == Some(true) && self.stream == Some(true) {
            return Err(unsupported(
                "background",
                "an answer made in the background is not streamed: leave stream out and ask for it later",
            ));
        }
        if self.background == Some(true) && self.store == Some(false) {
            return Err(wrong(
                "store",
                "an answer made in the background has to be stored: leave store out",
            ));
        }
        Ok(())
    }

    /// What the model is asked, with what it is given.
    pub(super) fn generate(&self, messages: Vec<Message>) -> Result<GenerateRequest, Fault> {
        let Tools { tools, choice } = self.tools()?;
        let conversation = Conversation {
            messages,
            tools,
            template_variables: self.template_variables()?,
            ..Conversation::default()
        };
        Ok(GenerateRequest {
            sampling: self.sampling()?,
            max_tokens: settings::token_limit("max_output_tokens", self.max_output_tokens)?,
            top_logprobs: self.alternatives()?,
            keep_alive: self.keep_alive.clone().map(KeepAliveTime::read).transpose()?,
            format: self.format()?,
            tool_choice: choice,
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            is_private: self.store == Some(false),
            ..GenerateRequest::new(self.model()?, Input::Conversation(conversation))
        })
    }

    fn sampling(&self) -> Result<Sampling, Fault> {
        Ok(Sampling {
            temperature: self.temperature,
            top_k: top_k(self.top_k)?,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            seed: settings::seed(self.seed),
            ..Sampling::default()
        })
    }

    fn template_variables(&self) -> Result<Map<String, Value>, Fault> {
        let effort = self
            .reasoning
            .as_ref()
            .and_then(|reasoning| reasoning.effort.as_deref());
        let mut variables = effort_variables("reasoning.effort", effort)?;
        variables.extend(self.chat_template_kwargs.clone().unwrap_or_default());
        Ok(variables)
    }

    fn alternatives(&self) -> Result<Option<u32>, Fault> {
        let wanted = settings::count("top_logprobs", self.top_logprobs, 0, 20)?;
        let included = self
            .include
            .iter()
            .flatten()
            .any(|name| name == "message.output_text.logprobs");
        Ok(wanted.filter(|count| *count > 0).or(included.then_some(0)))
    }

    fn format(&self) -> Result<OutputFormat, Fault> {
        let Some(format) = self.text.as_ref().and_then(|text| text.format.clone()) else {
            return Ok(OutputFormat::Text);
        };
        match format.r#type.as_str() {
            "text" => Ok(OutputFormat::Text),
            "json_object" => Ok(OutputFormat::JsonObject),
            "json_schema" => NamedSchema {
                name: format.name.unwrap_or_default(),
                description: format.description,
                schema: format.schema,
                strict: format.strict,
            }
            .read("text.format"),
            _ => Err(wrong(
                "text.format.type",
                "text.format.type must be text, json_object or json_schema",
            )),
        }
    }

    fn tools(&self) -> Result<Tools, Fault> {
        let read = self.tools.iter().flatten().enumerate().map(|(index, tool)| {
            let place = format!("tools[{index}]");
            if tool.r#type != "function" {
                return Err(not_a_function(&tool.r#type, &place));
            }
            let function = FunctionDefinition {
                name: tool.name.clone().unwrap_or_default(),
                description: tool.description.clone(),
                parameters: tool.parameters.clone(),
                strict: tool.strict,
            };
            function.tool(&place)
        });
        let tools = bounded(read.collect::<Result<_, _>>()?, "tools")?;
        let choice = match &self.tool_choice {
            None | Some(Value::Null) => mode_of("auto")?,
            Some(Value::String(mode)) => mode_of(mode)?,
            Some(value) => return named_choice(value, tools),
        };
        Ok(Tools { tools, choice })
    }

    /// The answer before it has begun.
    pub(super) fn object(&self, id: String, created_at: u64) -> ResponseObject {
        let tools = self.tools.iter().flatten().map(ResponseTool::told).collect();
        let effort = self.reasoning.clone().unwrap_or_default();
        ResponseObject {
            background: self.background.unwrap_or(false),
            instructions: self.instructions.clone(),
            max_output_tokens: self.max_output_tokens,
            metadata: self.metadata.clone().unwrap_or_default(),
            parallel_tool_calls: self.parallel_tool_calls.unwrap_or(true),
            previous_response_id: self.previous_response_id.clone(),
            reasoning: effort,
            store: self.store.unwrap_or(true),
            temperature: self.temperature,
            text: json!({"format": self.text.as_ref().map_or_else(|| json!({"type": "text"}), TextSettings::told)}),
            tool_choice: self
                .tool_choice
                .clone()
                .filter(|choice| !choice.is_null())
                .unwrap_or_else(|| "auto".into()),
            tools,
            top_logprobs: self.top_logprobs.unwrap_or(0),
            top_p: self.top_p,
            user: self.user.clone(),
            ..ResponseObject::new(id, created_at, self.model.clone())
        }
    }
}

fn named_choice(value: &Value, tools: Vec<airunner_core::chat::Tool>) -> Result<Tools, Fault> {
    let bad = || {
        wrong(
            "tool_choice",
            "tool_choice must be \"none\", \"auto\", \"required\", or an object of type function or allowed_tools",
        )
    };
    let choice = NamedChoice::deserialize(value).map_err(|_| bad())?;
    match (choice.r#type.as_str(), choice.name, choice.tools) {
        ("function", Some(name), _) => Ok(Tools {
            tools,
            choice: airunner_core::generate::ToolChoice::Function(name),
        }),
        ("allowed_tools", _, Some(allowed)) => {
            let names: Vec<String> = allowed.into_iter().filter_map(|tool| tool.name).collect();
            Tools::allowed(tools, &names, choice.mode.as_deref().unwrap_or("auto"))
        }
        _ => Err(bad()),
    }
}

impl ResponseTool {
    fn told(&self) -> Value {
        json!({
            "type": self.r#type,
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict.unwrap_or(true),
        })
    }
}

impl TextSettings {
    fn told(&self) -> Value {
        let Some(format) = &self.format else {
            return json!({"type": "text"});
        };
        if format.r#type != "json_schema" {
            return json!({"type": format.r#type});
        }
        json!({
            "type": format.r#type,
            "name": format.name,
            "description": format.description,
            "schema": format.schema,
            "strict": format.strict.unwrap_or(true),
        })
    }
}
