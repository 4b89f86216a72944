//! JSON that travels as text inside a message.

use airunner_core::Fault;
use serde_json::{Map, Value};

use super::wire::at_most_bytes;

/// Longest JSON text of one field, bytes.
const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting of objects and arrays.
const MAX_DEPTH: usize = 64;

/// The object in `text`; the empty text is the empty object.
pub(super) fn object(text: &str, field: &str) -> Result<Map<String, Value>, Fault> {
    at_most_bytes(text, MAX_BYTES, field)?;
    if text.is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Fault::invalid(format!("{field} is not JSON: {error}")))?;
    let Value::Object(map) = value else {
        return Err(Fault::invalid(format!("{field} must be a JSON object")));
    };
    if map.values().any(|value| is_deeper_than(value, MAX_DEPTH - 1)) {
        return Err(Fault::invalid(format!(
            "{field} is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(map)
}

/// Any value in `text`, which is not empty.
pub(super) fn value(text: &str, field: &str) -> Result<Value, Fault> {
    at_most_bytes(text, MAX_BYTES, field)?;
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Fault::invalid(format!("{field} is not JSON: {error}")))?;
    if is_deeper_than(&value, MAX_DEPTH) {
        return Err(Fault::invalid(format!(
            "{field} is nested deeper than {MAX_DEPTH} levels"
        )));
    }
    Ok(value)
}

/// The text of an object; the empty object is the empty text.
pub(super) fn object_text(map: Map<String, Value>) -> String {
    if map.is_empty() {
        String::new()
    } else {
        Value::Object(map).to_string()
    }
}

/// Recursion ends at `levels`, and the parser has bounded the depth before.
fn is_deeper_than(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper_than(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper_than(item, levels - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels))
    }

    #[test]
    fn an_object_is_read_and_anything_else_is_refused_by_name() {
        assert_eq!(object(r#"{"a": 1}"#, "x").unwrap().len(), 1);
        assert!(object("", "x").unwrap().is_empty());
        for bad in ["[]", "1", "null", "{", "{\"a\":1e999}", "\u{0}", "{} {}"] {
            let fault = object(bad, "tools[3].parameters_json").unwrap_err();
            assert!(fault.message.starts_with("tools[3].parameters_json "), "{fault}");
        }
    }

    #[test]
    fn depth_and_size_are_capped() {
        assert!(object(&nested(MAX_DEPTH), "x").is_ok());
        assert!(object(&nested(MAX_DEPTH + 1), "x").is_err());
        assert!(object(&nested(100_000), "x").is_err());
        assert!(object(&format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES)), "x").is_err());
    }
}
