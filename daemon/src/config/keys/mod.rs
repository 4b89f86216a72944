//! The one list of what can be set.

mod daemon;
mod desktop;
mod http;
mod runtime;

use std::fmt;
use std::time::Duration;

use airunner_core::settings::Applies;

use super::settings::Settings;
use super::value::Raw;

/// One setting.
#[derive(Clone, Copy)]
pub struct Key {
    pub section: &'static str,
    pub name: &'static str,
    /// As it would be written in the file.
    pub default: &'static str,
    /// What may be written, for a person.
    pub allowed: &'static str,
    pub applies: Applies,
    /// One line for a person.
    pub help: &'static str,
    /// Reads and keeps a value; the error is what would be allowed.
    pub(super) set: fn(&mut Settings, Raw<'_>) -> Result<(), String>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.full_name()).finish()
    }
}

impl Key {
    /// The environment variable that overrides it.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("AIRUNNER_{}_{}", self.section, self.name).to_uppercase()
    }

    /// As people call it.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}.{}", self.section, self.name)
    }
}

/// Every setting, by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    [daemon::KEYS, http::KEYS, runtime::KEYS, desktop::KEYS]
        .into_iter()
        .flatten()
}

/// The setting of that name.
#[must_use]
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    keys().find(|key| key.section == section && key.name == name)
}

const fn seconds(number: u32) -> Duration {
    Duration::from_secs(number as u64)
}
