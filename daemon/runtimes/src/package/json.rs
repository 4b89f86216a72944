//! Settings files of packages: unknown fields are ignored, wrong types are named.

use serde_json::Value;

use super::{Files, PackageError};

const MAX_JSON_BYTES: u64 = 16 << 20;

/// One JSON object of a package and the file it came from.
#[derive(Clone, Debug)]
pub struct Document {
    file: String,
    value: Value,
}

impl Document {
    pub fn read(files: &Files, file: &str) -> Result<Self, PackageError> {
        let content = files.read(file, MAX_JSON_BYTES)?;
        let value: Value = serde_json::from_slice(&content).map_err(|source| PackageError::Json {
            file: file.to_owned(),
            source,
        })?;
        let document = Self {
            file: file.to_owned(),
            value,
        };
        if !document.value.is_object() {
            return Err(document.wrong("the file", "an object", &document.value));
        }
        Ok(document)
    }

    /// `None` if the package has no such file.
    pub fn read_if_present(files: &Files, file: &str) -> Result<Option<Self>, PackageError> {
        files.has(file).then(|| Self::read(files, file)).transpose()
    }

    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The value at a `.`-separated path; an explicit null counts as absent.
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&Value> {
        field
            .split('.')
            .try_fold(&self.value, |value, name| value.get(name))
            .filter(|value| !value.is_null())
    }

    pub fn text(&self, field: &str) -> Result<Option<&str>, PackageError> {
        self.typed(field, "a text", Value::as_str)
    }

    pub fn flag(&self, field: &str) -> Result<Option<bool>, PackageError> {
        self.typed(field, "true or false", Value::as_bool)
    }

    /// A whole number that is not negative and fits 32 bits.
    pub fn count(&self, field: &str) -> Result<Option<u32>, PackageError> {
        self.typed(field, "a whole number from 0 to 4294967295", |value| {
            value.as_u64().and_then(|number| u32::try_from(number).ok())
        })
    }

    /// A number; whole numbers count too.
    pub fn number(&self, field: &str) -> Result<Option<f32>, PackageError> {
        #[expect(clippy::cast_possible_truncation, reason = "settings have few digits")]
        self.typed(field, "a number", |value| {
            value.as_f64().map(|number| number as f32)
        })
    }

    /// A whole number, negative ones too.
    pub fn integer(&self, field: &str) -> Result<Option<i64>, PackageError> {
        self.typed(field, "a whole number", Value::as_i64)
    }

    /// The first of several spellings that is present.
    pub fn first_count(&self, fields: &[&str]) -> Result<Option<u32>, PackageError> {
        for field in fields {
            if let Some(found) = self.count(field)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn typed<'a, T>(
        &'a self,
        field: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, PackageError> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(field, expected, value)),
        }
    }

    pub fn wrong(&self, field: &str, expected: &'static str, found: &Value) -> PackageError {
        let mut found = found.to_string();
        if found.len() > 60 {
            found = found.chars().take(60).chain("...".chars()).collect();
        }
        PackageError::Field {
            file: self.file.clone(),
            field: field.to_owned(),
            expected,
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_in_result,
        reason = "set-up of tests, beside the result under test"
    )]
    use super::*;

    fn document(text: &str) -> Result<Document, PackageError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.json"), text).unwrap();
        Document::read(&Files::open(home.path()).unwrap(), "config.json")
    }

    #[test]
    fn finds_values_and_ignores_the_rest() {
        let document = document(r#"{"a": {"b": 3}, "x": null, "n": -1.5}"#).unwrap();
        assert_eq!(document.count("a.b").unwrap(), Some(3));
        assert_eq!(document.count("x").unwrap(), None);
        assert_eq!(document.count("a.c").unwrap(), None);
        assert_eq!(document.number("n").unwrap(), Some(-1.5));
        assert_eq!(document.first_count(&["nothing", "a.b"]).unwrap(), Some(3));
    }

    #[test]
    fn a_wrong_type_is_named_with_file_and_field() {
        let document = document(r#"{"layers": "two"}"#).unwrap();
        let message = document.count("layers").unwrap_err().to_string();
        assert_eq!(
            message,
            r#"config.json: layers must be a whole number from 0 to 4294967295, but is "two""#
        );
    }

    #[test]
    fn damaged_files_are_refused() {
        for text in ["", "{", "[]", "\"x\"", &"[".repeat(100_000)] {
            assert!(document(text).is_err());
        }
    }
}
