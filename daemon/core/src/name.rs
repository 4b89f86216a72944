//! Names of models.

use std::fmt;
use std::str::FromStr;

use crate::error::Fault;

/// The checked name of a model, such as `tiny` or `onnx-community/Qwen2.5-0.5B-Instruct`.
///
/// One to four segments separated by `/`; each of ASCII letters, digits, `.`, `_` and `-`,
/// beginning with a letter or digit and not ending with `.`; at most 128 bytes in all. So no
/// name is a path out of the model store on any file system.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModelName(String);

/// Names under this prefix ship with the program.
pub const BUILTIN_PREFIX: &str = "builtin/";

const MAX_BYTES: usize = 128;
const MAX_SEGMENTS: usize = 4;
/// Device names of Windows, which no file may be called there, with or without an extension.
const RESERVED: [&str; 6] = ["con", "prn", "aux", "nul", "com", "lpt"];

impl ModelName {
    pub fn new(name: &str) -> Result<Self, Fault> {
        let acceptable = name.len() <= MAX_BYTES
            && name.split('/').count() <= MAX_SEGMENTS
            && name.split('/').all(is_segment);
        if acceptable {
            return Ok(Self(name.to_owned()));
        }
        let shown: String = name.chars().take(MAX_BYTES).collect();
        Err(Fault::invalid(format!(
            "{shown:?} is not a model name: use letters, digits, '.', '_' and '-', with '/' between at most \
             {MAX_SEGMENTS} parts that begin with a letter or digit, at most {MAX_BYTES} characters"
        )))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for names of models that ship with the program.
    #[must_use]
    pub fn is_builtin(&self) -> bool {
        self.0.starts_with(BUILTIN_PREFIX)
    }

    /// The name as one path component: `/` becomes `+`, which no name contains.
    #[must_use]
    pub fn directory_name(&self) -> String {
        self.0.replace('/', "+")
    }

    /// The name whose [`directory_name`](Self::directory_name) this is.
    pub fn from_directory_name(component: &str) -> Result<Self, Fault> {
        Self::new(&component.replace('+', "/"))
    }

    /// True if the two would share a directory on a file system that ignores case.
    #[must_use]
    pub fn collides_with(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

fn is_segment(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    let reserved = || {
        let stem = segment.split('.').next().unwrap_or(segment).to_ascii_lowercase();
        let device = stem.trim_end_matches(|c: char| c.is_ascii_digit());
        RESERVED.contains(&device) && stem.len() <= 4
    };
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        && !segment.ends_with('.')
        && !reserved()
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelName {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::new(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_the_names_people_use() {
        for name in [
            "tiny",
            "builtin/helper",
            "onnx-community/Qwen2.5-0.5B-Instruct",
            "a/b/c/d",
            "7b",
            "console",
        ] {
            assert_eq!(ModelName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_paths_and_tricks() {
        let long = "x".repeat(129);
        for name in [
            "",
            "..",
            "/etc",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "/",
            ".hidden",
            "-flag",
            "a b",
            "a\\b",
            "a\0b",
            "tiny.",
            "a/b/c/d/e",
            "é",
            "C:",
            "a+b",
            "nul",
            "NUL.onnx",
            "com1",
            "x/lpt9",
            &long,
        ] {
            assert!(ModelName::new(name).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_directory_name_is_one_component_and_reads_back(name in "[a-zA-Z0-9._/-]{1,40}") {
            if let Ok(name) = ModelName::new(&name) {
                let component = name.directory_name();
                prop_assert!(!component.contains('/'));
                prop_assert_eq!(ModelName::from_directory_name(&component).unwrap(), name);
            }
        }
    }
}
