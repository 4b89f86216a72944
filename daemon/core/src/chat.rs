//! Conversations, as every chat API of the field writes them.

use serde_json::{Map, Value};

/// One turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Message {
    /// `system`, `user`, `assistant` or `tool`; others go to the template as they are.
    pub role: String,
    pub content: String,
    /// What the assistant called, in its own turns.
    pub tool_calls: Vec<ToolCall>,
    /// In a `tool` turn: which call this answers.
    pub tool_call_id: Option<String>,
    /// In a `tool` turn: the function's name.
    pub name: Option<String>,
    /// What the assistant thought, in its own turns.
    pub reasoning: Option<String>,
}

impl Message {
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            ..Self::default()
        }
    }
}

/// A function call the assistant made.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolCall {
    pub id: String,
    pub name: String,
    pub arguments: Map<String, Value>,
}

/// A function the assistant may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: String,
    /// JSON schema of the parameters.
    pub parameters: Value,
}

/// What a chat template is given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conversation {
    pub messages: Vec<Message>,
    pub tools: Vec<Tool>,
    pub documents: Vec<Value>,
    /// Further template variables, such as `enable_thinking`.
    pub template_variables: Map<String, Value>,
    /// The last message, which is the assistant's, is the beginning of the answer and not a turn
    /// before it.
    pub continues: bool,
    /// Tokens of an exchange before it, which the prompt begins with.
    pub earlier: Vec<u32>,
}
