//! The JSON of tool calls.

use serde_json::{Map, Value};

/// A call as the model wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Only some formats have one.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
}

/// How far a text is a JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Json {
    /// A whole value, and where it ends.
    Whole(Value, usize),
    /// The beginning of one.
    Begun,
    /// None.
    Broken,
}

/// Reads the value at the beginning of `text`.
pub(super) fn json(text: &str) -> Json {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next() {
        Some(Ok(value)) => Json::Whole(value, values.byte_offset()),
        Some(Err(error)) if error.is_eof() => Json::Begun,
        None => Json::Begun,
        Some(Err(_)) => Json::Broken,
    }
}

/// `{"name": .., "arguments": {..}}`, with the arguments under any of their names, perhaps as a
/// JSON text of their own, perhaps all of it under `function`.
pub(super) fn call(value: &Value) -> Option<Call> {
    let value = value
        .get("function")
        .filter(|inner| inner.is_object())
        .unwrap_or(value);
    let name = value.get("name")?.as_str()?.to_owned();
    let arguments = match value.get("arguments").or_else(|| value.get("parameters")) {
        Some(Value::Object(arguments)) => arguments.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).ok()?,
        Some(Value::Null) | None => Map::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => return None,
    };
    let id = value
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty())
        .map(str::to_owned);
    (!name.is_empty()).then_some(Call { id, name, arguments })
}

/// A single call or a list of them, all well-formed.
pub(super) fn calls(value: &Value) -> Option<Vec<Call>> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(call).collect(),
        Value::Object(_) => Some(vec![call(value)?]),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
