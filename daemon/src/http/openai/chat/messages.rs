//! Turns of a conversation.

use airunner_core::Fault;
use airunner_core::chat::{Conversation, Message, ToolCall};
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::openai::refusal::{unsupported, wrong};

/// One turn.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ChatMessage {
    role: ChatRole,
    content: Option<MessageContent>,
    name: Option<String>,
    /// What the assistant called, in its own turns.
    tool_calls: Option<Vec<MessageCall>>,
    /// Which call a `tool` turn answers.
    tool_call_id: Option<String>,
    /// The older form of `tool_calls`.
    function_call: Option<MessageFunction>,
    refusal: Option<String>,
    /// What the assistant thought, in its own turns.
    #[serde(alias = "reasoning")]
    reasoning_content: Option<String>,
    /// Of the last turn, the assistant's: go on with it.
    prefix: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::http) enum ChatRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

/// A text, or parts of one.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a text or a list of parts, each an object with a type"
)]
pub(in crate::http) enum MessageContent {
    Text(String),
    Parts(Vec<ContentPart>),
}

/// A part of a turn. Language models read `text` and `refusal`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct ContentPart {
    r#type: String,
    text: Option<String>,
    refusal: Option<String>,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct MessageCall {
    #[serde(default)]
    id: String,
    function: MessageFunction,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct MessageFunction {
    name: String,
    /// A JSON object as text.
    #[serde(default)]
    arguments: String,
}

/// The turns as models are given them.
pub(in crate::http::openai) fn conversation(
    messages: Vec<ChatMessage>,
    continues: bool,
) -> Result<Conversation, Fault> {
    if messages.is_empty() {
        return Err(wrong("messages", "messages is empty: send at least one message"));
    }
    let last = messages.last();
    let marked = last.is_some_and(|message| message.prefix == Some(true));
    let continues = continues || marked;
    if continues && last.is_none_or(|message| message.role != ChatRole::Assistant) {
        return Err(wrong(
            "messages",
            "only a message of the assistant can be gone on with: let it be the last",
        ));
    }
    let mut turns: Vec<Message> = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let turn = message.turn(index, &turns)?;
        // Most templates know one system message, at the beginning.
        match turns.as_mut_slice() {
            [first] if first.role == "system" && turn.role == "system" => {
                first.content = format!("{}\n\n{}", first.content, turn.content);
            }
            _ => turns.push(turn),
        }
    }
    Ok(Conversation {
        messages: turns,
        continues,
        ..Conversation::default()
    })
}

impl ChatMessage {
    fn turn(self, index: usize, before: &[Message]) -> Result<Message, Fault> {
        let place = format!("messages[{index}]");
        let says_nothing = self.content.is_none();
        let content = match self.content {
            Some(content) => content.text(&format!("{place}.content"))?,
            None => self.refusal.unwrap_or_default(),
        };
        let calls = calls(self.tool_calls, self.function_call, &place)?;
        if says_nothing && self.role != ChatRole::Assistant {
            return Err(wrong(
                format!("{place}.content"),
                format!("{place}.content is missing: only the assistant may say nothing"),
            ));
        }
        let is_answer = matches!(self.role, ChatRole::Tool | ChatRole::Function);
        let name = match (self.name, &self.tool_call_id) {
            (None, Some(id)) if is_answer => called(id, before),
            (name, _) => name,
        };
        Ok(Message {
            role: self.role.as_str().to_owned(),
            content,
            tool_calls: calls,
            tool_call_id: self.tool_call_id.filter(|_| is_answer),
            name,
            reasoning: self
                .reasoning_content
                .filter(|_| self.role == ChatRole::Assistant),
        })
    }
}

impl ChatRole {
    /// As templates know it.
    const fn as_str(self) -> &'static str {
        match self {
            Self::System | Self::Developer => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool | Self::Function => "tool",
        }
    }
}

impl MessageContent {
    /// All of its text.
    pub(in crate::http::openai) fn text(self, place: &str) -> Result<String, Fault> {
        let parts = match self {
            Self::Text(text) => return Ok(text),
            Self::Parts(parts) => parts,
        };
        let texts: Vec<String> = parts
            .into_iter()
            .enumerate()
            .map(|(index, part)| part.read(&format!("{place}[{index}]")))
            .collect::<Result<_, _>>()?;
        Ok(texts.join("\n"))
    }
}

impl ContentPart {
    fn read(self, place: &str) -> Result<String, Fault> {
        let missing = |field: &str| {
            wrong(
                format!("{place}.{field}"),
                format!("{place}.{field} is missing: a part of this type has one"),
            )
        };
        match self.r#type.as_str() {
            "text" | "input_text" | "output_text" | "reasoning_text" | "summary_text" => {
                self.text.ok_or_else(|| missing("text"))
            }
            "refusal" => self.refusal.ok_or_else(|| missing("refusal")),
            other => {
                let shown: String = other.chars().take(32).collect();
                Err(unsupported(
                    format!("{place}.type"),
                    format!("{place} is of type {shown:?}: this model reads text only"),
                ))
            }
        }
    }
}

fn calls(
    calls: Option<Vec<MessageCall>>,
    legacy: Option<MessageFunction>,
    place: &str,
) -> Result<Vec<ToolCall>, Fault> {
    let mut read = Vec::new();
    for (index, call) in calls.into_iter().flatten().enumerate() {
        let place = format!("{place}.tool_calls[{index}].function.arguments");
        read.push(ToolCall {
            id: call.id,
            name: call.function.name,
            arguments: arguments(&call.function.arguments, &place)?,
        });
    }
    if let Some(function) = legacy {
        read.push(ToolCall {
            id: String::new(),
            arguments: arguments(&function.arguments, &format!("{place}.function_call.arguments"))?,
            name: function.name,
        });
    }
    Ok(read)
}

/// An object from its text; no text is an empty one.
pub(in crate::http::openai) fn arguments(text: &str, place: &str) -> Result<Map<String, Value>, Fault> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text)
        .map_err(|_| wrong(place, format!("{place} must be a JSON object, written as a text")))
}

/// The name of the function that was called under this id.
pub(in crate::http::openai) fn called(id: &str, before: &[Message]) -> Option<String> {
    let calls = before.iter().flat_map(|message| &message.tool_calls);
    calls
        .rev()
        .find(|call| call.id == id)
        .map(|call| call.name.clone())
}
