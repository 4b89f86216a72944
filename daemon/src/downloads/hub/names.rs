//! Names that come from people or from a hub, checked before they become part of an address or
//! of a path.

use std::fmt;

use airunner_core::Fault;

const MAX_PART: usize = 96;
const MAX_REVISION: usize = 128;
/// Longest path of a file, bytes.
const MAX_PATH: usize = 512;
/// Directories a file may lie in.
const MAX_DEPTH: usize = 6;

/// `owner/name`, as the hub calls a collection of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Repository {
    owner: String,
    name: String,
}

impl Repository {
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        let wrong = || {
            let shown: String = text.chars().take(2 * MAX_PART).collect();
            Fault::invalid(format!(
                "{shown:?} is neither a model of the catalogue nor a repository such as \
                 onnx-community/Qwen2.5-0.5B-Instruct"
            ))
        };
        let (owner, name) = text.split_once('/').ok_or_else(wrong)?;
        if !is_part(owner) || !is_part(name) {
            return Err(wrong());
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
        })
    }

    pub(super) fn parts(&self) -> [&str; 2] {
        [&self.owner, &self.name]
    }

    /// As the hub's own tools call its directory in their cache.
    pub(super) fn cache_directory(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

fn is_part(part: &str) -> bool {
    part.len() <= MAX_PART
        && part.starts_with(|first: char| first.is_ascii_alphanumeric())
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !part.contains("..")
        && !part.contains("--")
}

/// A branch, a tag or a commit.
pub(crate) fn check_revision(revision: &str) -> Result<(), Fault> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    let sound = !revision.is_empty()
        && revision.len() <= MAX_REVISION
        && revision.bytes().all(plain)
        && revision
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.'));
    if sound {
        return Ok(());
    }
    let shown: String = revision.chars().take(MAX_REVISION).collect();
    Err(Fault::invalid(format!(
        "{shown:?} is not a revision: use a branch, a tag or a commit"
    )))
}

/// What to do with a file name that a hub sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    Sound,
    /// Harmless, and of no use here: deeper than any package, or not a name on every system.
    Useless,
    Hostile,
}

pub(super) fn look_at(path: &str) -> Path {
    let hostile = path.is_empty()
        || path.len() > MAX_PATH
        || path.contains('\\')
        || path.chars().any(char::is_control)
        || path
            .split('/')
            .any(|part| part.is_empty() || part == "." || part == "..");
    if hostile {
        Path::Hostile
    } else if path.split('/').count() > MAX_DEPTH || path.contains(':') {
        Path::Useless
    } else {
        Path::Sound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_two_plain_words() {
        for text in ["onnx-community/Qwen2.5-0.5B-Instruct", "a/b", "m/phi_3", "0x/7b"] {
            assert_eq!(Repository::parse(text).unwrap().to_string(), text);
        }
        let long = format!("a/{}", "x".repeat(97));
        for text in [
            "",
            "gpt2",
            "/x",
            "x/",
            "a/b/c",
            "../x",
            "a/..",
            "a/b?x",
            "a/b#x",
            "a b/c",
            "a/b%2e",
            "https://x/y",
            "a--b/c",
            &long,
        ] {
            assert!(Repository::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Repository::parse("a/b").unwrap().cache_directory(),
            "models--a--b"
        );
    }

    #[test]
    fn revisions_are_plain() {
        for text in ["main", "refs/pr/3", "v1.0", "0123abc"] {
            check_revision(text).unwrap();
        }
        for text in ["", "../x", "a//b", "a b", ".git", "x/../y", "?", "a\\b"] {
            check_revision(text).unwrap_err();
        }
    }

    #[test]
    fn names_of_files_stay_inside() {
        for path in [
            "config.json",
            "onnx/model.onnx_data_1",
            "a/b/c/d/e/f",
            "ein Modell.onnx",
            ".gitattributes",
        ] {
            assert_eq!(look_at(path), Path::Sound, "{path}");
        }
        for path in ["a/b/c/d/e/f/g", "C:/x", "results_12:30.json"] {
            assert_eq!(look_at(path), Path::Useless, "{path}");
        }
        let long = "x".repeat(513);
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "a\\b",
            "a\0b",
            "a\nb",
            "..",
            &long,
        ] {
            assert_eq!(look_at(path), Path::Hostile, "{path}");
        }
    }
}
