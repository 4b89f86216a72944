//! What a client asks a model, in our own language: unknown fields are refused.

use std::collections::BTreeMap;
use std::time::Duration;

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::generate::{GenerateRequest, Input, OutputFormat, Sampling, ToolChoice};
use airunner_core::{Fault, KeepAlive, ModelName, Priority};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::answer::thinking_variables;

/// Longest role, bytes.
const MAX_ROLE_BYTES: usize = 32;

/// A message of a conversation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http::native) struct MessageBody {
    /// `system`, `user`, `assistant` or `tool`; others are passed to the model as they are.
    pub(in crate::http::native) role: String,
    #[serde(default)]
    pub(in crate::http::native) content: String,
    /// What the assistant called, in its own messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::http::native) tool_calls: Vec<CallBody>,
    /// In a `tool` message: which call this answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) tool_call_id: Option<String>,
    /// In a `tool` message: the name of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) name: Option<String>,
    /// What the assistant thought, in its own messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::http::native) reasoning: Option<String>,
}

/// A call of a function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http::native) struct CallBody {
    pub(in crate::http::native) id: String,
    pub(in crate::http::native) name: String,
    #[schema(value_type = Object)]
    pub(in crate::http::native) arguments: Map<String, Value>,
}

/// A function that may be called.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolBody {
    name: String,
    #[serde(default)]
    description: String,
    /// JSON schema of the arguments.
    #[serde(default = "no_parameters")]
    #[schema(value_type = Object)]
    parameters: Value,
}

fn no_parameters() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

/// Whether functions may be called: `auto`, `none`, `required`, or `{"function": NAME}`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ToolChoiceBody {
    Auto,
    None,
    Required,
    Function(String),
}

/// What the answer must look like.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum FormatBody {
    /// Whatever the model writes.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that the schema allows.
    JsonSchema {
        #[schema(value_type = Object)]
        schema: Value,
    },
    /// Text that the regular expression matches as a whole.
    Regex { pattern: String },
}

/// How urgent a request is.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::http::native) enum PriorityBody {
    Background,
    Api,
    Interactive,
}

impl From<PriorityBody> for Priority {
    fn from(priority: PriorityBody) -> Self {
        match priority {
            PriorityBody::Background => Self::Background,
            PriorityBody::Api => Self::Api,
            PriorityBody::Interactive => Self::Interactive,
        }
    }
}

/// Adds to a request what all requests for an answer have in common. A flattened struct would do,
/// but serde cannot refuse unknown fields beside one.
macro_rules! request {
    ($(#[$meta:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(in crate::http::native) struct $name {
            $($own)*
            /// Who answers; without it the model that was used last among those that are loaded.
            model: Option<String>,
            /// Send the answer piece by piece, as server-sent events.
            #[serde(default)]
            pub(in crate::http::native) stream: bool,
            /// Tokens of the answer at most.
            #[schema(minimum = 1)]
            max_tokens: Option<u32>,
            /// 0 always takes the likeliest token.
            #[schema(minimum = 0.0, maximum = 10.0)]
            temperature: Option<f32>,
            #[schema(minimum = 0)]
            top_k: Option<u32>,
            #[schema(minimum = 0.0, maximum = 1.0)]
            top_p: Option<f32>,
            #[schema(minimum = 0.0, maximum = 1.0)]
            min_p: Option<f32>,
            #[schema(minimum = 0.01, maximum = 10.0)]
            repetition_penalty: Option<f32>,
            #[schema(minimum = -2.0, maximum = 2.0)]
            frequency_penalty: Option<f32>,
            #[schema(minimum = -2.0, maximum = 2.0)]
            presence_penalty: Option<f32>,
            /// The same seed with the same request gives the same answer.
            seed: Option<u64>,
            /// Added to the logits, by token id.
            #[serde(default)]
            #[schema(value_type = Option<BTreeMap<String, f32>>)]
            logit_bias: BTreeMap<u32, f32>,
            /// The answer ends before the first of these.
            #[serde(default)]
            stop: Vec<String>,
            /// How many alternatives to tell with each token.
            #[schema(maximum = 20)]
            top_logprobs: Option<u32>,
            format: Option<FormatBody>,
            /// How long the model stays loaded afterwards, such as `10m`; `0`, or `-1` for ever.
            keep_alive: Option<String>,
            priority: Option<PriorityBody>,
            /// How long the request may wait for its turn, milliseconds.
            max_wait_ms: Option<u64>,
        }

        impl $name {
            /// The model that is asked for by name.
            pub(super) fn model(&self) -> Option<&str> {
                self.model.as_deref()
            }

            fn into_request(self, model: ModelName, input: Input) -> Result<GenerateRequest, Fault> {
                let mut request = GenerateRequest::new(model, input);
                request.sampling = Sampling {
                    temperature: self.temperature,
                    top_k: self.top_k,
                    top_p: self.top_p,
                    min_p: self.min_p,
                    repetition_penalty: self.repetition_penalty,
                    frequency_penalty: self.frequency_penalty,
                    presence_penalty: self.presence_penalty,
                    seed: self.seed,
                    logit_bias: self.logit_bias,
                };
                request.max_tokens = self.max_tokens;
                request.stop = self.stop;
                request.top_logprobs = self.top_logprobs;
                request.format = self.format.map(OutputFormat::from).unwrap_or_default();
                request.keep_alive = keep_alive(self.keep_alive.as_deref())?;
                request.priority = self.priority.map(Priority::from).unwrap_or_default();
                request.max_wait = self.max_wait_ms.map(Duration::from_millis);
                Ok(request)
            }
        }
    };
}

request! {
    /// A conversation to be answered.
    ChatRequest {
        /// What was said so far. With `conversation_id`: what is said now.
        #[serde(default)]
        messages: Vec<MessageBody>,
        /// A stored conversation: these messages and the answer are added to it.
        pub(in crate::http::native) conversation_id: Option<String>,
        /// Functions that the model may call.
        #[serde(default)]
        tools: Vec<ToolBody>,
        tool_choice: Option<ToolChoiceBody>,
        /// Whether one answer may call several functions.
        parallel_tool_calls: Option<bool>,
        /// Whether a model that can think does so.
        thinking: Option<bool>,
        /// Further variables of the model's chat template.
        #[serde(default)]
        #[schema(value_type = Object)]
        template_variables: Map<String, Value>,
        /// The last message is the beginning of the answer.
        #[serde(default)]
        continues: bool,
    }
}

request! {
    /// A text to go on from.
    CompletionRequest {
        /// Given to the model as it is.
        prompt: String,
    }
}

impl ChatRequest {
    /// What is said, checked.
    pub(super) fn take_messages(&mut self) -> Result<Vec<Message>, Fault> {
        if self.messages.is_empty() {
            return Err(
                Fault::invalid("messages is empty: send at least one message").figure("param", "messages")
            );
        }
        std::mem::take(&mut self.messages)
            .into_iter()
            .map(Message::try_from)
            .collect()
    }

    /// Puts what was said before in front of the last message, and returns that.
    pub(in crate::http::native) fn precede(&mut self, before: &[Message]) -> Result<Option<Message>, Fault> {
        let Some(last) = self.messages.last().cloned() else {
            return Ok(None);
        };
        let earlier = before.iter().cloned().map(MessageBody::from);
        self.messages.splice(0..0, earlier);
        Message::try_from(last).map(Some)
    }

    pub(super) fn generate(
        mut self,
        model: ModelName,
        messages: Vec<Message>,
    ) -> Result<GenerateRequest, Fault> {
        let mut template_variables = std::mem::take(&mut self.template_variables);
        if let Some(thinking) = self.thinking {
            template_variables.extend(thinking_variables(thinking));
        }
        let conversation = Conversation {
            messages,
            tools: self.tools.drain(..).map(Tool::from).collect(),
            template_variables,
            continues: self.continues,
            ..Conversation::default()
        };
        let choice = self.tool_choice.take();
        let parallel = self.parallel_tool_calls;
        let mut request = self.into_request(model, Input::Conversation(conversation))?;
        request.tool_choice = choice.map(ToolChoice::from).unwrap_or_default();
        request.parallel_tool_calls = parallel.unwrap_or(true);
        Ok(request)
    }
}

impl CompletionRequest {
    pub(super) fn generate(mut self, model: ModelName) -> Result<GenerateRequest, Fault> {
        let prompt = std::mem::take(&mut self.prompt);
        self.into_request(model, Input::Raw(prompt))
    }
}

impl TryFrom<MessageBody> for Message {
    type Error = Fault;

    fn try_from(body: MessageBody) -> Result<Self, Fault> {
        if body.role.is_empty() || body.role.len() > MAX_ROLE_BYTES {
            return Err(Fault::invalid(
                "a message has no sensible role: use system, user, assistant or tool",
            ));
        }
        Ok(Self {
            role: body.role,
            content: body.content,
            tool_calls: body.tool_calls.into_iter().map(ToolCall::from).collect(),
            tool_call_id: body.tool_call_id,
            name: body.name,
            reasoning: body.reasoning,
        })
    }
}

impl From<Message> for MessageBody {
    fn from(message: Message) -> Self {
        let call = |call: ToolCall| CallBody {
            id: call.id,
            name: call.name,
            arguments: call.arguments,
        };
        Self {
            role: message.role,
            content: message.content,
            tool_calls: message.tool_calls.into_iter().map(call).collect(),
            tool_call_id: message.tool_call_id,
            name: message.name,
            reasoning: message.reasoning,
        }
    }
}

impl From<CallBody> for ToolCall {
    fn from(body: CallBody) -> Self {
        Self {
            id: body.id,
            name: body.name,
            arguments: body.arguments,
        }
    }
}

impl From<ToolBody> for Tool {
    fn from(body: ToolBody) -> Self {
        Self {
            name: body.name,
            description: body.description,
            parameters: body.parameters,
        }
    }
}

impl From<ToolChoiceBody> for ToolChoice {
    fn from(body: ToolChoiceBody) -> Self {
        match body {
            ToolChoiceBody::Auto => Self::Auto,
            ToolChoiceBody::None => Self::None,
            ToolChoiceBody::Required => Self::Required,
            ToolChoiceBody::Function(name) => Self::Function(name),
        }
    }
}

impl From<FormatBody> for OutputFormat {
    fn from(body: FormatBody) -> Self {
        match body {
            FormatBody::Text => Self::Text,
            FormatBody::JsonObject => Self::JsonObject,
            FormatBody::JsonSchema { schema } => Self::JsonSchema(schema),
            FormatBody::Regex { pattern } => Self::Regex(pattern),
        }
    }
}

/// How long a model is to stay loaded.
pub(in crate::http::native) fn keep_alive(text: Option<&str>) -> Result<Option<KeepAlive>, Fault> {
    text.map(str::parse)
        .transpose()
        .map_err(|fault: Fault| fault.figure("param", "keep_alive"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::payload::decode;

    fn read(value: &Value) -> Result<ChatRequest, Fault> {
        decode(value.to_string().as_bytes())
    }

    #[test]
    fn everything_a_client_says_reaches_the_model() {
        let mut chat = read(&json!({
            "model": "tiny",
            "messages": [{"role": "user", "content": "Hi"}],
            "temperature": 0.5, "top_k": 3, "logit_bias": {"7": -1.5}, "stop": ["."],
            "tools": [{"name": "weather"}],
            "tool_choice": {"function": "weather"},
            "parallel_tool_calls": false,
            "format": {"type": "json_schema", "schema": {"type": "object"}},
            "thinking": false,
            "keep_alive": "10m",
            "priority": "interactive",
            "max_wait_ms": 250,
        }))
        .unwrap();
        let messages = chat.take_messages().unwrap();
        let request = chat.generate(ModelName::new("tiny").unwrap(), messages).unwrap();
        assert_eq!(request.sampling.logit_bias[&7], -1.5);
        assert_eq!(request.tool_choice, ToolChoice::Function("weather".to_owned()));
        assert!(!request.parallel_tool_calls);
        assert!(matches!(request.format, OutputFormat::JsonSchema(_)));
        assert_eq!(request.priority, Priority::Interactive);
        assert_eq!(request.max_wait, Some(Duration::from_millis(250)));
        let Input::Conversation(conversation) = &request.input else {
            panic!("a conversation");
        };
        assert_eq!(conversation.template_variables["enable_thinking"], false);
        request.validate().unwrap();
    }

    #[test]
    fn a_refusal_names_the_field() {
        let message = json!([{"role": "user", "content": "Hi"}]);
        for (body, named) in [
            (json!({"messages": message, "temprature": 1}), "temprature"),
            (json!({"messages": message, "temperature": "hot"}), "temperature"),
            (json!({"messages": message, "max_tokens": -1}), "max_tokens"),
            (
                json!({"messages": [{"role": "user", "text": "Hi"}]}),
                "messages[0]",
            ),
            (json!({"messages": message, "format": {"type": "xml"}}), "format"),
            (
                json!({"messages": message, "tool_choice": "always"}),
                "tool_choice",
            ),
        ] {
            let fault = read(&body).unwrap_err();
            assert!(fault.message.contains(named), "{body}: {fault}");
        }
        assert!(read(&json!({})).unwrap().take_messages().is_err());
    }
}
