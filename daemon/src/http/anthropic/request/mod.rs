//! A conversation as clients of Anthropic write it.

#[cfg(test)]
mod tests;

use std::fmt;
use std::marker::PhantomData;

use airunner_core::Fault;
use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::generate::{GenerateRequest, Input, OutputFormat, Sampling, ToolChoice};
use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::answer::thinking_variables;

/// A conversation to go on with.
#[derive(Deserialize, ToSchema)]
pub(super) struct MessagesRequest {
    pub(super) model: String,
    /// Of the answer.
    pub(super) max_tokens: u32,
    /// If the last is the assistant's, the answer goes on from there.
    messages: Vec<MessageIn>,
    /// A text, or blocks of text.
    #[schema(value_type = Option<String>)]
    system: Option<Content>,
    stop_sequences: Option<Vec<String>>,
    /// Events as they come.
    pub(super) stream: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    tools: Option<Vec<ToolIn>>,
    tool_choice: Option<ChoiceIn>,
    pub(super) thinking: Option<Thinking>,
    output_config: Option<OutputConfig>,
    output_format: Option<FormatIn>,
}

/// A conversation to count.
#[derive(Deserialize, ToSchema)]
pub(super) struct CountRequest {
    pub(super) model: String,
    messages: Vec<MessageIn>,
    /// A text, or blocks of text.
    #[schema(value_type = Option<String>)]
    system: Option<Content>,
    tools: Option<Vec<ToolIn>>,
    thinking: Option<Thinking>,
}

/// One turn.
#[derive(Deserialize, ToSchema)]
pub(super) struct MessageIn {
    role: Role,
    /// A text, or blocks.
    #[schema(value_type = Vec<Block>)]
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Assistant,
    System,
}

/// A text or several blocks.
pub(super) struct Content(Vec<Block>);

/// A part of a turn.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[schema(value_type = Object)]
        input: Map<String, Value>,
    },
    ToolResult {
        tool_use_id: String,
        /// A text, or blocks of text.
        #[schema(value_type = Option<String>)]
        content: Option<Content>,
    },
    Thinking {
        thinking: String,
    },
    /// Read and left out: only its author can read it.
    RedactedThinking {},
    /// Refused: no model that runs here can see.
    Image {},
    /// Refused: send its text.
    Document {},
    /// Refused.
    #[serde(other)]
    Other,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrBlocks(PhantomData))
    }
}

struct TextOrBlocks(PhantomData<Block>);

impl<'de> Visitor<'de> for TextOrBlocks {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text or a list of blocks")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        let text = text.to_owned();
        Ok(Content(vec![Block::Text { text }]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, blocks: A) -> Result<Content, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(blocks)).map(Content)
    }
}

/// A function that the model may call.
#[derive(Deserialize, ToSchema)]
pub(super) struct ToolIn {
    /// Absent or `custom`: the tools of Anthropic's own servers are refused.
    #[serde(rename = "type")]
    kind: Option<String>,
    name: String,
    description: Option<String>,
    /// A JSON schema.
    #[schema(value_type = Option<Object>)]
    input_schema: Option<Value>,
}

/// Whether tools may or must be called.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum ChoiceIn {
    Auto {
        disable_parallel_tool_use: Option<bool>,
    },
    /// At least one must be called.
    Any {
        disable_parallel_tool_use: Option<bool>,
    },
    /// This one must be called.
    Tool {
        name: String,
        disable_parallel_tool_use: Option<bool>,
    },
    None {},
}

/// Whether the model thinks before it answers. Without it, it does not.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(super) struct Thinking {
    #[serde(rename = "type")]
    kind: ThinkingKind,
    display: Option<Display>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ThinkingKind {
    /// A `budget_tokens` is accepted and has no effect.
    Enabled,
    Disabled,
    Adaptive,
    BetweenTools,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Display {
    Summarized,
    Omitted,
}

impl Thinking {
    fn is_on(&self) -> bool {
        self.kind != ThinkingKind::Disabled
    }

    /// Whether the client wants to see it.
    pub(super) fn is_shown(&self) -> bool {
        self.is_on() && self.display != Some(Display::Omitted)
    }
}

#[derive(Deserialize, ToSchema)]
pub(super) struct OutputConfig {
    format: Option<FormatIn>,
    effort: Option<String>,
}

/// JSON that a schema allows.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum FormatIn {
    JsonSchema {
        #[schema(value_type = Object)]
        schema: Value,
    },
}

impl MessagesRequest {
    pub(super) fn generation(self, model: airunner_core::ModelName) -> Result<GenerateRequest, Fault> {
        let (config_format, effort) = match self.output_config {
            Some(config) => (config.format, config.effort),
            None => (None, None),
        };
        let turns = Turns {
            messages: self.messages,
            system: self.system,
            tools: self.tools,
            thinking: self.thinking,
            effort,
        };
        let conversation = turns.conversation()?;
        let mut generation = GenerateRequest::new(model, Input::Conversation(conversation));
        generation.max_tokens = Some(self.max_tokens);
        generation.stop = self.stop_sequences.unwrap_or_default();
        generation.sampling = Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            ..Sampling::default()
        };
        (generation.tool_choice, generation.parallel_tool_calls) = self
            .tool_choice
            .map_or((ToolChoice::Auto, true), ChoiceIn::choice);
        if let Some(FormatIn::JsonSchema { schema }) = config_format.or(self.output_format) {
            generation.format = OutputFormat::JsonSchema(schema);
        }
        Ok(generation)
    }
}

impl CountRequest {
    pub(super) fn conversation(self) -> Result<Conversation, Fault> {
        let turns = Turns {
            messages: self.messages,
            system: self.system,
            tools: self.tools,
            thinking: self.thinking,
            effort: None,
        };
        turns.conversation()
    }
}

impl ChoiceIn {
    /// The choice, and whether one answer may hold several calls.
    fn choice(self) -> (ToolChoice, bool) {
        let several = |disabled: Option<bool>| disabled != Some(true);
        match self {
            Self::Auto {
                disable_parallel_tool_use,
            } => (ToolChoice::Auto, several(disable_parallel_tool_use)),
            Self::Any {
                disable_parallel_tool_use,
            } => (ToolChoice::Required, several(disable_parallel_tool_use)),
            Self::Tool {
                name,
                disable_parallel_tool_use,
            } => (ToolChoice::Function(name), several(disable_parallel_tool_use)),
            Self::None {} => (ToolChoice::None, true),
        }
    }
}

struct Turns {
    messages: Vec<MessageIn>,
    system: Option<Content>,
    tools: Option<Vec<ToolIn>>,
    thinking: Option<Thinking>,
    effort: Option<String>,
}

impl Turns {
    fn conversation(self) -> Result<Conversation, Fault> {
        let mut told = Told::default();
        if let Some(system) = self.system {
            let text = text_of(system, "system")?;
            if !text.is_empty() {
                told.messages.push(Message::new("system", text));
            }
        }
        for message in self.messages {
            told.turn(message)?;
        }
        let thinks = self.thinking.as_ref().is_some_and(Thinking::is_on);
        let mut template_variables = thinking_variables(thinks);
        if let Some(effort) = self.effort {
            template_variables.insert("reasoning_effort".to_owned(), effort.into());
        }
        let tools = self.tools.unwrap_or_default().into_iter();
        Ok(Conversation {
            continues: told.continues()?,
            messages: told.messages,
            tools: tools.map(tool).collect::<Result<_, _>>()?,
            template_variables,
            ..Conversation::default()
        })
    }
}

/// The turns so far.
#[derive(Default)]
struct Told {
    messages: Vec<Message>,
    /// Identifier and name of every call.
    calls: Vec<(String, String)>,
}

impl Told {
    fn turn(&mut self, message: MessageIn) -> Result<(), Fault> {
        match message.role {
            Role::System => {
                let text = text_of(message.content, "a system turn")?;
                self.messages.push(Message::new("system", text));
                Ok(())
            }
            Role::User => self.user(message.content),
            Role::Assistant => self.assistant(message.content),
        }
    }

    /// Results of tools become turns of their own.
    fn user(&mut self, content: Content) -> Result<(), Fault> {
        for block in content.0 {
            match block {
                Block::Text { text } => self.say("user", &text, "\n"),
                Block::ToolResult { tool_use_id, content } => {
                    let known = self.calls.iter().find(|(id, _)| *id == tool_use_id);
                    let text = content.map_or_else(|| Ok(String::new()), result_text)?;
                    self.messages.push(Message {
                        name: known.map(|(_, name)| name.clone()),
                        tool_call_id: Some(tool_use_id),
                        ..Message::new("tool", text)
                    });
                }
                Block::ToolUse { .. } | Block::Thinking { .. } | Block::RedactedThinking {} => {
                    return Err(Fault::invalid(
                        "a user's turn has text and tool_result blocks only",
                    ));
                }
                Block::Image {} | Block::Document {} | Block::Other => return Err(unseen(&block)),
            }
        }
        Ok(())
    }

    fn assistant(&mut self, content: Content) -> Result<(), Fault> {
        self.say("assistant", "", "");
        for block in content.0 {
            let Some(last) = self.messages.last_mut() else {
                break;
            };
            match block {
                Block::Text { text } => last.content.push_str(&text),
                Block::Thinking { thinking } => last.reasoning.get_or_insert_default().push_str(&thinking),
                Block::RedactedThinking {} => {}
                Block::ToolUse { id, name, input } => {
                    self.calls.push((id.clone(), name.clone()));
                    last.tool_calls.push(ToolCall {
                        id,
                        name,
                        arguments: input,
                    });
                }
                Block::ToolResult { .. } => {
                    return Err(Fault::invalid("tool_result blocks belong into a user's turn"));
                }
                Block::Image {} | Block::Document {} | Block::Other => return Err(unseen(&block)),
            }
        }
        Ok(())
    }

    /// Turns of the same side that follow each other are one.
    fn say(&mut self, role: &str, text: &str, between: &str) {
        match self.messages.last_mut() {
            Some(last) if last.role == role && last.tool_calls.is_empty() => {
                if !last.content.is_empty() {
                    last.content.push_str(between);
                }
                last.content.push_str(text);
            }
            Some(_) | None => self.messages.push(Message::new(role, text)),
        }
    }

    /// Whether the answer goes on from the last turn.
    fn continues(&self) -> Result<bool, Fault> {
        let Some(last) = self.messages.last() else {
            return Err(
                Fault::invalid("messages: at least one message is required").figure("param", "messages")
            );
        };
        if last.role == "system" {
            return Err(Fault::invalid("messages: the conversation has no turn to answer")
                .figure("param", "messages"));
        }
        if last.role == "assistant" && !last.tool_calls.is_empty() {
            return Err(Fault::invalid(
                "messages: tool_use blocks must be followed by a user's turn with their tool_result blocks",
            ));
        }
        // There is nothing to go on from in an empty turn.
        Ok(last.role == "assistant")
    }
}

fn text_of(content: Content, what: &str) -> Result<String, Fault> {
    let texts = content.0.into_iter().map(|block| match block {
        Block::Text { text } => Ok(text),
        Block::Image {} | Block::Document {} | Block::Other => Err(unseen(&block)),
        Block::ToolUse { .. }
        | Block::ToolResult { .. }
        | Block::Thinking { .. }
        | Block::RedactedThinking {} => Err(Fault::invalid(format!("{what} has text blocks only"))),
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// What a tool answered. What the model cannot read is named in its place: refused, it would end
/// the whole conversation, for it stays in the history.
fn result_text(content: Content) -> Result<String, Fault> {
    let told = content.0.into_iter().map(|block| {
        let text = match block {
            Block::Image {} => "[an image, which this model cannot see]",
            Block::Document {} => "[a document, which this model cannot read]",
            Block::Other => "[something that this model cannot read]",
            Block::Text { .. }
            | Block::ToolUse { .. }
            | Block::ToolResult { .. }
            | Block::Thinking { .. }
            | Block::RedactedThinking {} => return block,
        };
        let text = text.to_owned();
        Block::Text { text }
    });
    text_of(Content(told.collect()), "a tool_result")
}

fn unseen(block: &Block) -> Fault {
    let what = match block {
        Block::Image {} => "images",
        Block::Document {} => "documents",
        Block::Text { .. }
        | Block::ToolUse { .. }
        | Block::ToolResult { .. }
        | Block::Thinking { .. }
        | Block::RedactedThinking {}
        | Block::Other => "blocks of this type",
    };
    Fault::invalid(format!("the models that run here do not read {what}: send text"))
}

fn tool(tool: ToolIn) -> Result<Tool, Fault> {
    if let Some(kind) = tool.kind.filter(|kind| kind != "custom") {
        return Err(not_ours(&kind));
    }
    let parameters = tool.input_schema.ok_or_else(|| {
        Fault::invalid("tools: a tool of your own needs an input_schema")
            .figure("param", "tools.input_schema")
    })?;
    Ok(Tool {
        name: tool.name,
        description: tool.description.unwrap_or_default(),
        parameters,
    })
}

/// Tools that the client runs itself, in forms that only Anthropic's models have learnt.
const LEARNT: [&str; 4] = ["bash_", "text_editor_", "memory_", "computer_"];

/// The refusal of a tool of Anthropic's.
fn not_ours(kind: &str) -> Fault {
    let shown: String = kind.chars().take(64).collect();
    let why = if LEARNT.iter().any(|prefix| kind.starts_with(prefix)) {
        "has a form that only Anthropic's models know: describe it as a tool of your own, with an input_schema"
    } else {
        "runs on Anthropic's servers only: leave it out, or bring a tool of your own"
    };
    Fault::invalid(format!("tools: {shown} {why}"))
}
