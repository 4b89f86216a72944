//! Reading the daemon's log, which has one JSON object per line.

use serde_json::{Map, Value};

/// One line of the log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogLine {
    /// As it is written: RFC 3339, UTC.
    pub time: String,
    /// `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE`.
    pub level: String,
    /// Which part of the program wrote it.
    pub target: String,
    /// For a person.
    pub message: String,
    /// Everything else, in the order of the line.
    pub fields: Map<String, Value>,
}

/// Reads a line; `None` if it is not one of the daemon's.
#[must_use]
pub fn parse(line: &str) -> Option<LogLine> {
    let Ok(Value::Object(mut object)) = serde_json::from_str(line) else {
        return None;
    };
    let mut text = |key| match object.shift_remove(key) {
        Some(Value::String(text)) => text,
        Some(_) | None => String::new(),
    };
    let (time, level, target) = (text("timestamp"), text("level"), text("target"));
    let message = text("message");
    let mut line = LogLine {
        time,
        level,
        target,
        message,
        fields: Map::new(),
    };
    for (key, value) in object {
        match (key.as_str(), value) {
            ("fields", Value::Object(fields)) => line.add(fields),
            (_, value) => {
                line.fields.insert(key, value);
            }
        }
    }
    Some(line)
}

impl LogLine {
    fn add(&mut self, fields: Map<String, Value>) {
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("message", Value::String(message)) => self.message = message,
                (_, value) => {
                    self.fields.insert(key, value);
                }
            }
        }
    }
}

/// Level and message of a line, or the line itself if it is not one of the daemon's.
#[must_use]
pub fn brief(line: &str) -> String {
    parse(line).map_or_else(
        || line.to_owned(),
        |line| format!("{} {}", line.level, line.message),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_nested_or_flat() {
        for text in [
            r#"{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","target":"t","fields":{"message":"hi","pid":7}}"#,
            r#"{"timestamp":"2026-01-01T00:00:00Z","level":"INFO","message":"hi","pid":7,"target":"t"}"#,
        ] {
            let line = parse(text).unwrap();
            assert_eq!((&*line.level, &*line.target, &*line.message), ("INFO", "t", "hi"));
            assert_eq!(line.fields.get("pid"), Some(&Value::from(7)));
            assert_eq!(line.fields.len(), 1);
        }
    }

    #[test]
    fn anything_else_is_no_line() {
        for text in ["", "panicked at", "[1]", "{"] {
            assert_eq!(parse(text), None);
            assert_eq!(brief(text), text);
        }
    }
}
