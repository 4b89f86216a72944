//! A template's variables, in the shapes that transformers passes.

use airunner_core::chat::{Conversation, Message, Tool, ToolCall};
use minijinja::Value;
use serde_json::{Map, Value as Json};

use crate::llm::text::config::SpecialTokens;

type Variable = (String, Value);

/// `bos_token`, `eos_token` and the others that the package names.
pub(super) fn special(tokens: &SpecialTokens) -> Vec<Variable> {
    tokens
        .iter()
        .map(|(name, token)| (name.to_owned(), Value::from(token)))
        .collect()
}

/// What templates differ in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// A turn with calls and nothing else has no content.
    pub(super) content_may_be_none: bool,
    /// Arguments of calls are JSON texts.
    pub(super) arguments_as_text: bool,
}

/// `messages`, `tools` and `documents`; what is empty is none.
pub(super) fn conversation(conversation: &Conversation, shape: Shape) -> Vec<Variable> {
    let messages = conversation.messages.iter().map(|turn| message(turn, shape));
    let list = |items: Vec<Value>| {
        if items.is_empty() {
            Value::from(())
        } else {
            Value::from(items)
        }
    };
    vec![
        ("messages".to_owned(), messages.collect::<Vec<_>>().into()),
        (
            "tools".to_owned(),
            list(conversation.tools.iter().map(tool).collect()),
        ),
        (
            "documents".to_owned(),
            list(conversation.documents.iter().map(value).collect()),
        ),
    ]
}

pub(super) fn variables(variables: &Map<String, Json>) -> impl Iterator<Item = Variable> {
    variables.iter().map(|(name, json)| (name.clone(), value(json)))
}

/// The reasoning goes under both of its names, as transformers does it.
fn message(message: &Message, shape: Shape) -> Value {
    let no_content =
        shape.content_may_be_none && message.content.is_empty() && !message.tool_calls.is_empty();
    let content = if no_content {
        Value::from(())
    } else {
        Value::from(message.content.as_str())
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let calls = (!message.tool_calls.is_empty()).then(|| {
        message
            .tool_calls
            .iter()
            .map(|made| call(made, shape))
            .collect::<Vec<_>>()
    });
    object([
        ("thinking", text(&message.reasoning)),
        ("role", Some(Value::from(message.role.as_str()))),
        ("content", Some(content)),
        ("tool_calls", calls.map(Value::from)),
        ("tool_call_id", text(&message.tool_call_id)),
        ("name", text(&message.name)),
        ("reasoning_content", text(&message.reasoning)),
    ])
}

fn call(call: &ToolCall, shape: Shape) -> Value {
    let arguments = if shape.arguments_as_text {
        Value::from(Json::Object(call.arguments.clone()).to_string())
    } else {
        Value::from_pairs(variables(&call.arguments))
    };
    let function = object([
        ("name", Some(Value::from(call.name.as_str()))),
        ("arguments", Some(arguments)),
    ]);
    object([
        ("id", Some(Value::from(call.id.as_str()))),
        ("type", Some(Value::from("function"))),
        ("function", Some(function)),
    ])
}

fn tool(tool: &Tool) -> Value {
    let function = object([
        ("name", Some(Value::from(tool.name.as_str()))),
        ("description", Some(Value::from(tool.description.as_str()))),
        ("parameters", Some(value(&tool.parameters))),
    ]);
    object([
        ("type", Some(Value::from("function"))),
        ("function", Some(function)),
    ])
}

fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    Value::from_pairs(
        entries
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    )
}

/// JSON as a template sees it; the order of keys stays.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(bool) => Value::from(*bool),
        Json::Number(number) => number
            .as_i64()
            .map(Value::from)
            .or_else(|| number.as_u64().map(Value::from))
            .or_else(|| number.as_f64().map(Value::from))
            .unwrap_or_default(),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(list) => list.iter().map(value).collect::<Vec<_>>().into(),
        Json::Object(object) => Value::from_pairs(variables(object)),
    }
}
