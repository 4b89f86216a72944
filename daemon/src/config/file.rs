//! Reading `config.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use toml_edit::{Document, Item, Value};

use super::error::{ConfigError, Origin};
use super::keys::{Key, find, keys};
use super::settings::Settings;
use super::value::Raw;

/// The file's text; `None` if there is no file.
pub(super) fn text(path: &Path) -> Result<Option<String>, ConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read {
            path: path.to_path_buf(),
            source,
        }),
    }
}

/// Every setting of the file, each of them sound; anything else in it is an error.
pub(super) fn values(
    path: &Path,
    text: String,
) -> Result<BTreeMap<(&'static str, &'static str), Value>, ConfigError> {
    let lines = Lines {
        path,
        text: text.clone(),
    };
    let document = Document::parse(text).map_err(|error| ConfigError::Syntax {
        origin: lines.origin(error.span()),
        message: error.message().to_owned(),
    })?;
    let mut values = BTreeMap::new();
    for (section, item) in document.iter() {
        let header = document.key(section).and_then(toml_edit::Key::span);
        let Some(table) = item
            .as_table_like()
            .filter(|_| keys().any(|key| key.section == section))
        else {
            return Err(ConfigError::UnknownSection {
                origin: lines.origin(header),
                section: section.to_owned(),
                known: sections(),
            });
        };
        for (name, item) in table.iter() {
            let span = table.key(name).and_then(toml_edit::Key::span);
            let (key, value) = sound(section, name, item, &lines.origin(span))?;
            values.insert((key.section, key.name), value.clone());
        }
    }
    Ok(values)
}

/// The setting and its value, if that is allowed.
fn sound<'a>(
    section: &str,
    name: &str,
    item: &'a Item,
    origin: &Origin,
) -> Result<(&'static Key, &'a Value), ConfigError> {
    let Some(key) = find(section, name) else {
        return Err(ConfigError::UnknownKey {
            origin: origin.clone(),
            section: section.to_owned(),
            key: name.to_owned(),
            known: names(section),
        });
    };
    let bad = |value: String, allowed: String| ConfigError::BadValue {
        origin: origin.clone(),
        key: key.full_name(),
        value,
        allowed,
    };
    let Some(value) = item.as_value() else {
        return Err(bad(
            "a table".to_owned(),
            format!("a value such as {}", key.default),
        ));
    };
    match (key.set)(&mut Settings::default(), Raw::File(value)) {
        Ok(()) => Ok((key, value)),
        Err(allowed) => Err(bad(value.to_string().trim().to_owned(), allowed)),
    }
}

fn sections() -> String {
    let mut sections: Vec<&str> = keys().map(|key| key.section).collect();
    sections.dedup();
    sections.join(", ")
}

fn names(section: &str) -> String {
    let names: Vec<&str> = keys()
        .filter(|key: &&Key| key.section == section)
        .map(|key| key.name)
        .collect();
    names.join(", ")
}

/// Finds the line of a place in the text.
struct Lines<'a> {
    path: &'a Path,
    text: String,
}

impl Lines<'_> {
    fn origin(&self, span: Option<std::ops::Range<usize>>) -> Origin {
        let before = span.map_or(0, |span| span.start).min(self.text.len());
        let line = 1 + self.text.as_bytes()[..before]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        Origin::File {
            path: self.path.to_path_buf(),
            line,
        }
    }
}
