//! Items of a conversation: messages, thoughts, calls and their results.

use airunner_core::Fault;
use airunner_core::chat::{Message, ToolCall};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::http::openai::chat::messages::{MessageContent, arguments, called};
use crate::http::openai::identity::unique;
use crate::http::openai::refusal::{unsupported, wrong};

/// A text, or items.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a text or a list of items")]
pub(in crate::http) enum InputField {
    Text(String),
    /// Each is an `InputItem`.
    #[schema(value_type = Vec<InputItem>)]
    Items(Vec<Value>),
}

/// A message, a thought, a call of a function or what came of it.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct InputItem {
    /// `message`, which may be left out, `reasoning`, `function_call` or `function_call_output`.
    r#type: Option<String>,
    /// Of a message: `system`, `developer`, `user` or `assistant`.
    role: Option<String>,
    /// Of a message or a thought.
    content: Option<MessageContent>,
    /// Of a thought that came without its text.
    summary: Option<MessageContent>,
    /// Of a call or its result.
    call_id: Option<String>,
    /// Of a call.
    name: Option<String>,
    /// Of a call: a JSON object as text.
    arguments: Option<String>,
    /// Of a result.
    output: Option<MessageContent>,
}

/// Items as they are kept: each with a type and a name.
pub(super) fn kept(input: InputField) -> Result<Vec<Value>, Fault> {
    let items = match input {
        InputField::Text(text) => vec![json!({"type": "message", "role": "user", "content": text})],
        InputField::Items(items) => items,
    };
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| named(index, item))
        .collect()
}

fn named(index: usize, mut item: Value) -> Result<Value, Fault> {
    let Some(fields) = item.as_object_mut() else {
        let place = format!("input[{index}]");
        let message = format!("{place} must be an item, which is an object");
        return Err(wrong(place, message));
    };
    let kind = fields.entry("type").or_insert_with(|| "message".into());
    let prefix = match kind.as_str() {
        Some("reasoning") => "rs_",
        Some("function_call") => "fc_",
        Some("function_call_output") => "fco_",
        _ => "msg_",
    };
    if !fields.get("id").is_some_and(Value::is_string) {
        fields.insert("id".to_owned(), unique(prefix)?.into());
    }
    if let Some(Value::String(text)) = fields.get("content") {
        let is_assistant = fields.get("role").is_some_and(|role| role == "assistant");
        let kind = if is_assistant { "output_text" } else { "input_text" };
        let part = json!([{"type": kind, "text": text}]);
        fields.insert("content".to_owned(), part);
    }
    Ok(item)
}

/// Turns, made of items as they come.
#[derive(Debug, Default)]
pub(super) struct Turns {
    messages: Vec<Message>,
    /// Belongs to what the assistant does next.
    thought: Option<String>,
}

impl Turns {
    /// What the model is told before everything else.
    pub(super) fn of(instructions: Option<&str>) -> Self {
        let system = instructions.map(|text| Message::new("system", text));
        Self {
            messages: system.into_iter().collect(),
            thought: None,
        }
    }

    /// Adds items of this request, whose places are told when they are wrong.
    pub(super) fn add(&mut self, items: &[Value]) -> Result<(), Fault> {
        for (index, value) in items.iter().enumerate() {
            let place = format!("input[{index}]");
            let item: InputItem = serde_path_to_error::deserialize(value).map_err(|error| {
                let field = format!("{place}.{}", error.path());
                let message = format!("{field}: {}", error.inner());
                wrong(field, message)
            })?;
            self.add_item(item, &place)?;
        }
        Ok(())
    }

    pub(super) fn messages(self) -> Vec<Message> {
        self.messages
    }

    fn add_item(&mut self, item: InputItem, place: &str) -> Result<(), Fault> {
        match item.r#type.as_deref().unwrap_or("message") {
            "message" => self.add_message(item, place),
            "reasoning" => {
                let text = match (item.content, item.summary) {
                    (Some(content), _) => content.text(&format!("{place}.content"))?,
                    (None, Some(summary)) => summary.text(&format!("{place}.summary"))?,
                    (None, None) => String::new(),
                };
                self.thought = Some(text).filter(|text| !text.is_empty());
                Ok(())
            }
            "function_call" => self.add_call(item, place),
            "function_call_output" => self.add_result(item, place),
            other => {
                let shown: String = other.chars().take(32).collect();
                Err(unsupported(
                    format!("{place}.type"),
                    format!(
                        "{place} is of type {shown:?}: send messages, reasoning, function calls and their output"
                    ),
                ))
            }
        }
    }

    fn add_message(&mut self, item: InputItem, place: &str) -> Result<(), Fault> {
        let role = match item.role.as_deref() {
            Some("system" | "developer") => "system",
            Some("user") => "user",
            Some("assistant") => "assistant",
            _ => {
                let field = format!("{place}.role");
                let message = format!("{field} must be system, developer, user or assistant");
                return Err(wrong(field, message));
            }
        };
        let content = item.content.ok_or_else(|| missing(place, "content"))?;
        let text = content.text(&format!("{place}.content"))?;
        // Most templates know one system message, at the beginning.
        if let ("system", [first]) = (role, self.messages.as_mut_slice())
            && first.role == "system"
        {
            first.content = format!("{}\n\n{text}", first.content);
            return Ok(());
        }
        // A thought that was cut belongs to no later turn.
        let reasoning = self.thought.take().filter(|_| role == "assistant");
        self.messages.push(Message {
            reasoning,
            ..Message::new(role, text)
        });
        Ok(())
    }

    fn add_call(&mut self, item: InputItem, place: &str) -> Result<(), Fault> {
        let text = item.arguments.ok_or_else(|| missing(place, "arguments"))?;
        let call = ToolCall {
            id: item.call_id.ok_or_else(|| missing(place, "call_id"))?,
            name: item.name.ok_or_else(|| missing(place, "name"))?,
            arguments: arguments(&text, &format!("{place}.arguments"))?,
        };
        let reasoning = self.thought.take();
        match self.messages.last_mut() {
            Some(last) if last.role == "assistant" && reasoning.is_none() => last.tool_calls.push(call),
            Some(_) | None => self.messages.push(Message {
                tool_calls: vec![call],
                reasoning,
                ..Message::new("assistant", "")
            }),
        }
        Ok(())
    }

    fn add_result(&mut self, item: InputItem, place: &str) -> Result<(), Fault> {
        self.thought = None;
        let id = item.call_id.ok_or_else(|| missing(place, "call_id"))?;
        let output = item.output.ok_or_else(|| missing(place, "output"))?;
        self.messages.push(Message {
            name: called(&id, &self.messages),
            tool_call_id: Some(id),
            ..Message::new("tool", output.text(&format!("{place}.output"))?)
        });
        Ok(())
    }
}

fn missing(place: &str, field: &str) -> Fault {
    let field = format!("{place}.{field}");
    let message = format!("{field} is missing: an item of this type has one");
    wrong(field, message)
}
