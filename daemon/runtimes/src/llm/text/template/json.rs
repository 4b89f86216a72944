//! The `tojson` filter as transformers defines it: Python's `json.dumps`, without HTML escapes.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, State, Value};

/// Nesting beyond this is refused; Python's own limit is about ten times that.
const DEPTH_LIMIT: usize = 100;

/// One level is indented by this at most, characters.
const INDENT_LIMIT: usize = 64;

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
    let mut writer = Writer {
        state,
        style,
        text: String::new(),
        paid: 0,
    };
    writer.value(value, 0)?;
    Ok(writer.text)
}

impl Style {
    fn of(arguments: &Kwargs) -> Result<Self, Error> {
        let indent = match arguments
            .get::<Option<Value>>("indent")?
            .filter(|value| !value.is_none())
        {
            None => None,
            Some(value) => Some(match value.as_str() {
                Some(text) => text.chars().take(INDENT_LIMIT).collect(),
                None => " ".repeat(usize::try_from(value)?.min(INDENT_LIMIT)),
            }),
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
}

/// Writes a value and pays for it as it grows, so that no style can make it grow beyond the budget.
struct Writer<'style, 'template, 'environment> {
    state: &'style State<'template, 'environment>,
    style: Style,
    text: String,
    /// Bytes of the text that are paid for.
    paid: usize,
}

impl Writer<'_, '_, '_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the library may add kinds")]
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_LIMIT {
            return Err(Error::new(
                ErrorKind::BadSerialization,
                "the value is nested too deeply for JSON",
            ));
        }
        match value.kind() {
            ValueKind::None => self.text.push_str("null"),
            ValueKind::Bool => self.text.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => write_number(&mut self.text, value),
            ValueKind::String => self.string(value.as_str().unwrap_or("")),
            ValueKind::Seq => {
                let items = value.try_iter()?.map(|item| (None, item)).collect();
                self.items(('[', ']'), items, depth)?;
            }
            ValueKind::Map => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    items.push((Some(key_text(&key)?), value.get_item(&key)?));
                }
                if self.style.sort_keys {
                    items.sort_by(|left: &Item, right| left.0.cmp(&right.0));
                }
                self.items(('{', '}'), items, depth)?;
            }
            kind => {
                let message = format!("a value of kind {kind} cannot be written as JSON");
                return Err(Error::new(ErrorKind::BadSerialization, message));
            }
        }
        self.pay()
    }

    fn items(&mut self, (open, close): (char, char), items: Vec<Item>, depth: usize) -> Result<(), Error> {
        self.text.push(open);
        let empty = items.is_empty();
        for (index, (key, item)) in items.into_iter().enumerate() {
            if index > 0 {
                self.text.push_str(&self.style.item_separator);
            }
            self.line(depth + 1);
            if let Some(key) = key {
                self.string(&key);
                self.text.push_str(&self.style.key_separator);
            }
            self.value(&item, depth + 1)?;
        }
        if !empty {
            self.line(depth);
        }
        self.text.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.style.indent {
            self.text.push('\n');
            self.text.push_str(&indent.repeat(depth));
        }
    }

    fn string(&mut self, content: &str) {
        write_string(&mut self.text, content, self.style.ensure_ascii);
    }

    fn pay(&mut self) -> Result<(), Error> {
        const BYTES_PER_FUEL: usize = 64;
        let fuel = (self.text.len() - self.paid) / BYTES_PER_FUEL;
        self.paid += fuel * BYTES_PER_FUEL;
        self.state.consume_fuel(fuel as u64)
    }
}

/// One entry of a list or, with its key, of an object.
type Item = (Option<String>, Value);

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
