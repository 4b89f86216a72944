//! Values as people write them on a command line, and as the file has them.

use toml_edit::{Array, Value};

use super::keys::Key;

/// What a person means as it would stand in the file. Whether it is allowed is for the key to say.
pub(super) fn value(key: &Key, text: &str) -> Value {
    let text = text.trim();
    let parsed = text.parse::<Value>().ok();
    let mut value = match (key.default.parse::<Value>(), parsed) {
        (Ok(Value::String(_)), Some(Value::String(quoted))) => Value::String(quoted),
        (Ok(Value::String(_)), _) => Value::from(text),
        (Ok(Value::Array(_)), Some(Value::Array(list))) => Value::Array(list),
        (Ok(Value::Array(_)), _) => Value::Array(list(text)),
        (_, Some(value)) => value,
        (_, None) => Value::from(text),
    };
    value.decor_mut().clear();
    value
}

/// With commas between them; quotes around each may be left out.
fn list(text: &str) -> Array {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.parse::<Value>() {
            Ok(Value::String(quoted)) => quoted.into_value(),
            Ok(_) | Err(_) => entry.to_owned(),
        })
        .collect()
}

/// As JSON, which is how it may stand in the file.
pub(super) fn text(value: &Value) -> String {
    json(value).to_string()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(switch) => (*switch.value()).into(),
        Value::Array(list) => list.iter().map(json).collect(),
        // No setting has such a value.
        Value::Datetime(_) | Value::InlineTable(_) => value.to_string().trim().into(),
    }
}

/// As it would stand in the file what a variable says.
pub(super) fn of_variable(key: &Key, variable: &str) -> String {
    text(&value(key, variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::find;

    #[test]
    fn what_people_write_is_understood() {
        for (section, name, written, expected) in [
            ("models", "keep_alive", "30m", "\"30m\""),
            ("models", "keep_alive", "\"30m\"", "\"30m\""),
            ("models", "keep_alive", "-1", "\"-1\""),
            (
                "models",
                "preload",
                "tiny, owner/name",
                "[\"tiny\",\"owner/name\"]",
            ),
            (
                "models",
                "preload",
                "[\"tiny\",\n  'owner/name',]",
                "[\"tiny\",\"owner/name\"]",
            ),
            ("models", "preload", "'tiny'", "[\"tiny\"]"),
            ("models", "preload", "", "[]"),
            ("models", "preload", "[]", "[]"),
            ("runtime", "threads", " 4 ", "4"),
            ("runtime", "threads", "many", "\"many\""),
            ("downloads", "offline", "true", "true"),
            ("http", "listen", "", "\"\""),
            ("log", "level", "true", "\"true\""),
        ] {
            let key = find(section, name).unwrap();
            assert_eq!(text(&value(key, written)), expected, "{written}");
        }
    }
}
