//! What is set where: the file and the environment beside each other.

use std::collections::BTreeMap;
use std::path::Path;

use airunner_core::settings::SettingSource;
use toml_edit::Value;

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::file;
use super::keys::{Key, find, keys};
use super::settings::Settings;
use super::value::Raw;
use super::written;

/// Section and key.
type Name = (&'static str, &'static str);

/// What is set, and where, at one time. Both the file and the environment are sound.
#[derive(Clone, Debug, Default)]
pub struct Written {
    file: BTreeMap<Name, Value>,
    variables: BTreeMap<Name, String>,
}

impl Written {
    /// Reads the file and the environment; what is wrong in either is the error.
    pub fn read(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Self::of(path, file::text(path)?, environment)
    }

    /// The same of a file with that text.
    pub fn of(path: &Path, text: Option<String>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut written = Self::default();
        if let Some(text) = text {
            written.file = file::values(path, text)?;
        }
        let mut scratch = Settings::default();
        for key in keys() {
            let variable = key.variable();
            if let Some(text) = environment.get(&variable) {
                (key.set)(&mut scratch, Raw::Environment(text)).map_err(|allowed| ConfigError::BadValue {
                    origin: Origin::Environment,
                    key: variable,
                    value: text.to_owned(),
                    allowed,
                })?;
                written.variables.insert((key.section, key.name), text.to_owned());
            }
        }
        Ok(written)
    }

    /// Everything as values.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        for key in keys() {
            self.put(key, &mut settings);
        }
        settings
    }

    fn put(&self, key: &Key, settings: &mut Settings) {
        let name = (key.section, key.name);
        let raw = match (self.variables.get(&name), self.file.get(&name)) {
            (Some(text), _) => Raw::Environment(text),
            (None, Some(value)) => Raw::File(value),
            (None, None) => return,
        };
        let put = (key.set)(settings, raw);
        debug_assert!(put.is_ok(), "it was sound when it was read");
    }

    #[must_use]
    pub fn source(&self, key: &Key) -> SettingSource {
        let name = (key.section, key.name);
        if self.variables.contains_key(&name) {
            SettingSource::Environment
        } else if self.file.contains_key(&name) {
            SettingSource::File
        } else {
            SettingSource::Default
        }
    }

    /// As it stands in the file, or would.
    #[must_use]
    pub fn text(&self, key: &Key) -> String {
        let name = (key.section, key.name);
        match (self.variables.get(&name), self.file.get(&name)) {
            (Some(text), _) => written::of_variable(key, text),
            (None, Some(value)) => written::text(value),
            (None, None) => key.default.to_owned(),
        }
    }

    /// True if both mean the same by this setting, however it is written.
    #[must_use]
    pub fn agrees(&self, key: &Key, other: &Self) -> bool {
        let alone = |written: &Self| {
            let mut settings = Settings::default();
            written.put(key, &mut settings);
            settings
        };
        alone(self) == alone(other)
    }

    /// Takes one setting over from another.
    pub fn take(&mut self, key: &Key, other: &Self) {
        let name = (key.section, key.name);
        match other.file.get(&name) {
            Some(value) => drop(self.file.insert(name, value.clone())),
            None => drop(self.file.remove(&name)),
        }
    }
}

/// What `section.key` names.
pub fn named(name: &str) -> Result<&'static Key, ConfigError> {
    let (section, key) = name.split_once('.').unwrap_or((name, ""));
    find(section, key).ok_or_else(|| ConfigError::NoSuchKey {
        section: section.to_owned(),
        key: key.to_owned(),
    })
}
