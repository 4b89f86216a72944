//! Settings: read once from `config.toml` and the environment, checked, passed down as values.
//!
//! [`keys`] is the one list of what can be set. Nothing below this module reads the environment.

pub mod edit;
mod environment;
mod error;
mod file;
mod http;
mod hub;
mod keys;
mod read;
mod settings;
mod value;
mod written;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use environment::Environment;
pub use error::ConfigError;
pub use hub::HubVariables;
pub use keys::{Key, find, keys};
pub use read::{Written, named};
pub use settings::{
    Auth, DEFAULT_HUB, DaemonSettings, DesktopSettings, DownloadsSettings, HttpSettings, LogLevel,
    LogSettings, MemorySettings, ModelsSettings, NotificationsSettings, PowerSettings, Rate, RuntimeSettings,
    Settings, TelemetrySettings, Tls, WorkerSettings,
};

impl Settings {
    /// Defaults, then the file if there is one, then the environment.
    pub fn read(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        Written::read(file, environment).map(|written| written.settings())
    }
}
