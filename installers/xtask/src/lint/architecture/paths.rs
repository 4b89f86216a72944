//! The first names of the paths in a Rust source: which modules and crates it uses.
//!
//! Not a parser: comments and text literals are blanked, and every path is read from its
//! beginning. That is enough to tell `crate::models::Handle` from `tonic::Status`.

use std::collections::BTreeSet;

/// Names at the beginning of paths.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Top-level modules of the same crate, through `crate::` or `super::`.
    pub(super) siblings: BTreeSet<String>,
    /// Everything else that begins a path: crates, but types and local modules as well.
    pub(super) roots: BTreeSet<String>,
}

/// Reads a source file; `place` is its module path, such as `[models, actor]`.
pub(super) fn in_source(text: &str, place: &[String]) -> Found {
    let tokens = tokens(&blank(text));
    let mut found = Found::default();
    let mut index = 0;
    while index < tokens.len() {
        let begins = index == 0 || tokens[index - 1] != "::";
        let is_path = tokens.get(index + 1).is_some_and(|next| next == "::");
        if begins && is_path && is_name(&tokens[index]) {
            index = read_path(&tokens, index, place, &mut found);
        } else {
            index += 1;
        }
    }
    found
}

/// Follows one path from its first name and returns where it stopped.
fn read_path(tokens: &[String], start: usize, place: &[String], found: &mut Found) -> usize {
    let mut depth = match tokens[start].as_str() {
        "crate" => 0,
        "super" => place.len().saturating_sub(1),
        "self" => return start + 2,
        name => {
            found.roots.insert(name.to_owned());
            return start + 2;
        }
    };
    let mut index = start + 2;
    while tokens.get(index).is_some_and(|token| token == "super") {
        depth = depth.saturating_sub(1);
        index += 2;
    }
    if depth == 0 {
        index = read_first_names(tokens, index, &mut found.siblings);
    }
    index
}

/// After `crate::`: one name, or the first names of a group in braces.
fn read_first_names(tokens: &[String], start: usize, names: &mut BTreeSet<String>) -> usize {
    if tokens.get(start).is_none_or(|token| token != "{") {
        names.extend(tokens.get(start).filter(|token| is_name(token)).cloned());
        return start + 1;
    }
    let (mut depth, mut index) = (1, start + 1);
    let mut expects_name = true;
    while depth > 0 && index < tokens.len() {
        match tokens[index].as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => expects_name = depth == 1,
            name if expects_name && is_name(name) => {
                names.insert(name.to_owned());
                expects_name = false;
            }
            _ => {}
        }
        index += 1;
    }
    index
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::`, and single other characters.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            2
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            tokens.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    tokens
}

/// The source without comments and without the inside of text literals.
fn blank(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = blanked_length(rest);
        if skipped == 0 {
            kept.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            kept.push(' ');
            rest = &rest[skipped..];
        }
    }
    kept
}

/// Bytes of the comment or literal that `text` begins with; 0 if it begins with neither.
fn blanked_length(text: &str) -> usize {
    if text.starts_with("//") {
        text.find('\n').unwrap_or(text.len())
    } else if text.starts_with("/*") {
        text.find("*/").map_or(text.len(), |end| end + 2)
    } else if let Some(raw) = text.strip_prefix("r#\"") {
        raw.find("\"#").map_or(text.len(), |end| end + 5)
    } else if text.starts_with('"') {
        literal_length(text)
    } else if text.starts_with("'\"'") {
        3
    } else {
        0
    }
}

/// Bytes of the text literal that `text` begins with, its quotes included.
fn literal_length(text: &str) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(set: &BTreeSet<String>) -> Vec<&str> {
        set.iter().map(String::as_str).collect()
    }

    #[test]
    fn finds_modules_and_crates_in_all_their_spellings() {
        let source = r##"
            //! Not crate::comment.
            use crate::models::{Handle, Error};
            use crate::{config::Config, workers, storage::{models, Store}};
            use tonic::Status;
            fn a() -> Result<(), prost::DecodeError> {
                let text = "axum::Router and \" crate::quoted";
                let raw = r#"crate::raw "quoted" text"#;
                super::super::ipc::serve(self::local(), super::sibling::call())
            }
        "##;
        let place = ["inference".to_owned(), "queue".to_owned()];
        let found = in_source(source, &place);
        assert_eq!(
            names(&found.siblings),
            ["config", "ipc", "models", "storage", "workers"]
        );
        assert_eq!(names(&found.roots), ["prost", "tonic"]);
    }

    #[test]
    fn a_parent_of_a_top_level_module_is_the_crate() {
        let found = in_source("use super::http::Server;", &["ipc".to_owned()]);
        assert_eq!(names(&found.siblings), ["http"]);
    }
}
