//! Conversations: turns, tools, documents, template variables.

use airunner_core::Fault;
use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use airunner_core::generate::MAX_PROMPT_BYTES;
use serde_json::Value;

use super::json;
use super::wire::{at_most, at_most_bytes, non_empty, required};
use crate::v1;

/// Most turns of a conversation.
pub const MAX_MESSAGES: usize = 4096;
/// Most tools of a conversation.
pub const MAX_TOOLS: usize = 512;
/// Most documents of a conversation.
pub const MAX_DOCUMENTS: usize = 4096;
/// Most calls of one turn.
pub const MAX_TOOL_CALLS: usize = 256;
/// Longest role, name or identifier, bytes.
pub const MAX_NAME_BYTES: usize = 256;

impl From<Conversation> for v1::Conversation {
    fn from(conversation: Conversation) -> Self {
        Self {
            messages: conversation.messages.into_iter().map(Into::into).collect(),
            tools: conversation.tools.into_iter().map(Into::into).collect(),
            documents_json: conversation.documents.iter().map(Value::to_string).collect(),
            template_variables_json: json::object_text(conversation.template_variables),
            continues: conversation.continues,
            earlier: conversation.earlier,
        }
    }
}

impl TryFrom<v1::Conversation> for Conversation {
    type Error = Fault;

    fn try_from(wire: v1::Conversation) -> Result<Self, Fault> {
        at_most(wire.messages.len(), MAX_MESSAGES, "messages")?;
        at_most(wire.tools.len(), MAX_TOOLS, "tools")?;
        at_most(wire.documents_json.len(), MAX_DOCUMENTS, "documents_json")?;
        let messages = wire.messages.into_iter().enumerate();
        let tools = wire.tools.into_iter().enumerate();
        Ok(Self {
            messages: messages
                .map(|(index, wire)| message(wire, index))
                .collect::<Result<_, _>>()?,
            tools: tools
                .map(|(index, wire)| tool(wire, index))
                .collect::<Result<_, _>>()?,
            documents: documents(&wire.documents_json)?,
            template_variables: json::object(&wire.template_variables_json, "template_variables_json")?,
            continues: wire.continues,
            earlier: wire.earlier,
        })
    }
}

fn documents(texts: &[String]) -> Result<Vec<Value>, Fault> {
    let document = |(index, text): (usize, &String)| {
        let field = format!("documents_json[{index}]");
        if text.is_empty() {
            return Err(Fault::invalid(format!("{field} is empty: send a JSON object")));
        }
        json::object(text, &field).map(Value::Object)
    };
    texts.iter().enumerate().map(document).collect()
}

impl From<Message> for v1::Message {
    fn from(message: Message) -> Self {
        Self {
            role: message.role,
            content: message.content,
            tool_calls: message.tool_calls.into_iter().map(Into::into).collect(),
            tool_call_id: message.tool_call_id.unwrap_or_default(),
            name: message.name.unwrap_or_default(),
            reasoning: message.reasoning.unwrap_or_default(),
        }
    }
}

fn message(wire: v1::Message, index: usize) -> Result<Message, Fault> {
    let at = |field: &str| format!("messages[{index}].{field}");
    at_most_bytes(&wire.role, MAX_NAME_BYTES, &at("role"))?;
    at_most_bytes(&wire.tool_call_id, MAX_NAME_BYTES, &at("tool_call_id"))?;
    at_most_bytes(&wire.name, MAX_NAME_BYTES, &at("name"))?;
    at_most_bytes(&wire.reasoning, MAX_PROMPT_BYTES, &at("reasoning"))?;
    at_most(wire.tool_calls.len(), MAX_TOOL_CALLS, &at("tool_calls"))?;
    let calls = wire.tool_calls.into_iter().enumerate();
    let call = |(call, wire)| tool_call(wire, &at(&format!("tool_calls[{call}]")));
    Ok(Message {
        tool_calls: calls.map(call).collect::<Result<_, _>>()?,
        role: required(non_empty(wire.role), &at("role"))?,
        content: wire.content,
        tool_call_id: non_empty(wire.tool_call_id),
        name: non_empty(wire.name),
        reasoning: non_empty(wire.reasoning),
    })
}

impl From<ToolCall> for v1::ToolCall {
    fn from(call: ToolCall) -> Self {
        Self {
            id: call.id,
            name: call.name,
            arguments_json: Value::Object(call.arguments).to_string(),
        }
    }
}

fn tool_call(wire: v1::ToolCall, field: &str) -> Result<ToolCall, Fault> {
    at_most_bytes(&wire.id, MAX_NAME_BYTES, &format!("{field}.id"))?;
    at_most_bytes(&wire.name, MAX_NAME_BYTES, &format!("{field}.name"))?;
    Ok(ToolCall {
        arguments: json::object(&wire.arguments_json, &format!("{field}.arguments_json"))?,
        id: wire.id,
        name: required(non_empty(wire.name), &format!("{field}.name"))?,
    })
}

impl From<Tool> for v1::Tool {
    fn from(tool: Tool) -> Self {
        Self {
            name: tool.name,
            description: tool.description,
            parameters_json: tool.parameters.to_string(),
        }
    }
}

fn tool(wire: v1::Tool, index: usize) -> Result<Tool, Fault> {
    let at = |field: &str| format!("tools[{index}].{field}");
    at_most_bytes(&wire.name, MAX_NAME_BYTES, &at("name"))?;
    at_most_bytes(&wire.description, MAX_PROMPT_BYTES, &at("description"))?;
    Ok(Tool {
        parameters: Value::Object(json::object(&wire.parameters_json, &at("parameters_json"))?),
        name: required(non_empty(wire.name), &at("name"))?,
        description: wire.description,
    })
}
