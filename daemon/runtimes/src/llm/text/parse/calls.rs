//! The JSON of tool calls.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::format::Body;
use super::{pythonic, xml};
use crate::llm::text::stop::overlap;

/// A call as the model wrote it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Call {
    /// Only some formats have one.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    /// Arguments that may be JSON or text, as they were written; only some formats have such.
    pub(super) written: BTreeMap<String, String>,
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
    let name = value.get("name").or_else(|| value.get("tool_name"))?;
    let name = name.as_str()?.to_owned();
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
    (!name.is_empty()).then_some(Call {
        id,
        name,
        arguments,
        written: BTreeMap::new(),
    })
}

/// A single call or a list of them, all well-formed.
pub(super) fn calls(value: &Value) -> Option<Vec<Call>> {
    match value {
        Value::Array(list) if !list.is_empty() => list.iter().map(call).collect(),
        Value::Object(_) => Some(vec![call(value)?]),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// How far a text is calls that end by themselves.
#[derive(Debug, PartialEq)]
pub(super) enum Read {
    /// Whole calls, and where they end.
    Whole(Vec<Call>, usize),
    Begun,
    Broken,
}

/// Calls at the beginning of a text whose format has no mark at the end.
pub(super) fn read(body: &Body, text: &str) -> Read {
    let begun = text.trim_start();
    let skipped = text.len() - begun.len();
    match body {
        Body::Pythonic => return pythonic::read(text),
        Body::Json if begun.starts_with(|first: char| first != '[' && first != '{') => {
            return read_named(begun, skipped);
        }
        Body::Json | Body::Bare | Body::Named { .. } | Body::Channels => {}
    }
    match json(text) {
        Json::Whole(value, end) => calls(&value).map_or(Read::Broken, |found| Read::Whole(found, end)),
        Json::Begun => Read::Begun,
        Json::Broken => Read::Broken,
    }
}

/// A name is no longer than this.
const LONGEST_NAME: usize = 256;

const ARGUMENTS: &str = "[ARGS]";

/// `name[ARGS]{..}`, perhaps with `[CALL_ID]..` between. What is no name is none whatever follows,
/// so that it makes no difference how much of the text there is yet.
fn read_named(text: &str, skipped: usize) -> Read {
    let (head, rest) = match text.split_once(ARGUMENTS) {
        Some((head, rest)) => (head, Some(rest)),
        None => (&text[..text.len() - overlap(text, ARGUMENTS)], None),
    };
    if head.len() > LONGEST_NAME || head.contains(['\n', ' ']) {
        return Read::Broken;
    }
    let Some(rest) = rest else {
        return Read::Begun;
    };
    let (name, id) = match head.split_once("[CALL_ID]") {
        Some((name, id)) => (name, Some(id.to_owned())),
        None => (head, None),
    };
    match json(rest) {
        Json::Whole(Value::Object(arguments), end) => {
            let name = name.trim().to_owned();
            let end = skipped + text.len() - rest.len() + end;
            let call = Call {
                id,
                name,
                arguments,
                written: BTreeMap::new(),
            };
            Read::Whole(vec![call], end)
        }
        Json::Begun => Read::Begun,
        Json::Whole(..) | Json::Broken => Read::Broken,
    }
}

/// The calls between the marks of a format that has both.
pub(super) fn read_closed(body: &Body, text: &str) -> Option<Vec<Call>> {
    let text = text.trim();
    match body {
        Body::Pythonic => pythonic::calls(text),
        Body::Named { split } => named(text, split).map(|call| vec![call]),
        Body::Json | Body::Bare | Body::Channels => {
            let value = serde_json::from_str(text).ok();
            value.and_then(|value| calls(&value)).or_else(|| xml::calls(text))
        }
    }
}

/// `name<split>{..}` and what templates put around: `function<split>name` and a fence.
fn named(text: &str, split: &str) -> Option<Call> {
    let (head, rest) = text.split_once(split)?;
    let (start, end) = (rest.find('{')?, rest.rfind('}')? + 1);
    let name = match head.trim() {
        "function" => rest.get(..start)?.lines().next()?,
        head => head,
    };
    let name = name.trim();
    let name = name.strip_prefix("functions.").unwrap_or(name);
    let name = match name.rsplit_once(':') {
        Some((name, number)) if number.chars().all(|digit| digit.is_ascii_digit()) => name,
        Some(_) | None => name,
    };
    let arguments = serde_json::from_str(rest.get(start..end)?).ok()?;
    let name = name.to_owned();
    (!name.is_empty()).then_some(Call {
        id: None,
        name,
        arguments,
        written: BTreeMap::new(),
    })
}
