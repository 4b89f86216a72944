//! The `tojson` filter as transformers defines it: Python's `json.dumps`, without HTML escapes.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Nesting beyond this is refused; Python's own limit is about ten times that.
const DEPTH_LIMIT: usize = 100;

/// Arguments of `json.dumps` that templates use.
struct Style {
    ensure_ascii: bool,
    /// Text of one level.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    sort_keys: bool,
}

pub(super) fn tojson(state: &State<'_, '_>, value: &Value, arguments: Kwargs) -> Result<String, Error> {
    let style = Style::of(&arguments)?;
    arguments.assert_all_used()?;
    let mut text = String::new();
    write_value(&mut text, value, &style, 0)?;
    state.consume_fuel(text.len() as u64 / 64)?;
    Ok(text)
}

impl Style {
    fn of(arguments: &Kwargs) -> Result<Self, Error> {
        let indent = match arguments
            .get::<Option<Value>>("indent")?
            .filter(|value| !value.is_none())
        {
            None => None,
            Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
            Some(number) => Some(" ".repeat(usize::try_from(number)?.min(64))),
        };
        let separators = arguments
            .get::<Option<Value>>("separators")?
            .filter(|value| !value.is_none());
        let separators: Option<Vec<String>> = match separators {
            None => None,
            Some(pair) => Some(pair.try_iter()?.map(|text| text.to_string()).collect()),
        };
        // Without separators of its own, an indented list ends its lines with a bare comma.
        let comma = if indent.is_some() { "," } else { ", " };
        let (item_separator, key_separator) = match separators.as_deref() {
            None => (comma.to_owned(), ": ".to_owned()),
            Some([item, key]) => (item.clone(), key.clone()),
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "separators must be a pair of strings",
                ));
            }
        };
        let flag = |name| {
            arguments
                .get::<Option<bool>>(name)
                .map(|flag| flag.unwrap_or(false))
        };
        let (ensure_ascii, sort_keys) = (flag("ensure_ascii")?, flag("sort_keys")?);
        Ok(Self {
            ensure_ascii,
            indent,
            item_separator,
            key_separator,
            sort_keys,
        })
    }

    fn line(&self, text: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            text.push('\n');
            text.push_str(&indent.repeat(depth));
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add kinds")]
fn write_value(text: &mut String, value: &Value, style: &Style, depth: usize) -> Result<(), Error> {
    if depth > DEPTH_LIMIT {
        return Err(Error::new(
            ErrorKind::BadSerialization,
            "the value is nested too deeply for JSON",
        ));
    }
    match value.kind() {
        ValueKind::None => text.push_str("null"),
        ValueKind::Bool => text.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => write_number(text, value),
        ValueKind::String => write_string(text, value.as_str().unwrap_or(""), style.ensure_ascii),
        ValueKind::Seq => {
            let items = value.try_iter()?.map(|item| (None, item)).collect();
            write_items(text, ('[', ']'), items, style, depth)?;
        }
        ValueKind::Map => {
            let mut items = Vec::new();
            for key in value.try_iter()? {
                items.push((Some(key_text(&key)?), value.get_item(&key)?));
            }
            if style.sort_keys {
                items.sort_by(|left: &(Option<String>, Value), right| left.0.cmp(&right.0));
            }
            write_items(text, ('{', '}'), items, style, depth)?;
        }
        kind => {
            let message = format!("a value of kind {kind} cannot be written as JSON");
            return Err(Error::new(ErrorKind::BadSerialization, message));
        }
    }
    Ok(())
}

fn write_items(
    text: &mut String,
    (open, close): (char, char),
    items: Vec<(Option<String>, Value)>,
    style: &Style,
    depth: usize,
) -> Result<(), Error> {
    text.push(open);
    let empty = items.is_empty();
    for (index, (key, item)) in items.into_iter().enumerate() {
        if index > 0 {
            text.push_str(&style.item_separator);
        }
        style.line(text, depth + 1);
        if let Some(key) = key {
            write_string(text, &key, style.ensure_ascii);
            text.push_str(&style.key_separator);
        }
        write_value(text, &item, style, depth + 1)?;
    }
    if !empty {
        style.line(text, depth);
    }
    text.push(close);
    Ok(())
}

/// Keys that Python turns into strings.
#[expect(clippy::wildcard_enum_match_arm, reason = "the library may add kinds")]
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or("").to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(key.is_true().to_string()),
        ValueKind::Number => {
            let mut text = String::new();
            write_number(&mut text, key);
            Ok(text)
        }
        kind => Err(Error::new(
            ErrorKind::BadSerialization,
            format!("a key of kind {kind} cannot be written as JSON"),
        )),
    }
}

fn write_number(text: &mut String, number: &Value) {
    match f64::try_from(number.clone()) {
        Ok(float) if !number.is_integer() => text.push_str(&python_float(float)),
        Ok(_) | Err(_) => text.push_str(&number.to_string()),
    }
}

/// The shortest digits that read back as the same number, laid out as Python's `repr` does.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..16).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        Ok(_) | Err(_) => format!("{number:?}"),
    }
}

fn write_string(text: &mut String, content: &str, ensure_ascii: bool) {
    text.push('"');
    for character in content.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\u{8}' => text.push_str("\\b"),
            '\u{c}' => text.push_str("\\f"),
            control if control < ' ' => escape(text, control),
            other if ensure_ascii && !other.is_ascii() => escape(text, other),
            other => text.push(other),
        }
    }
    text.push('"');
}

fn escape(text: &mut String, character: char) {
    for unit in character.encode_utf16(&mut [0; 2]) {
        // Writing to a string cannot fail.
        let _ = write!(text, "\\u{unit:04x}");
    }
}
