//! Settings: read once from `config.toml` and the environment, checked, passed down as values.
//!
//! [`KEYS`] is the one list of what can be set. Nothing below this module reads the environment.

pub mod edit;
mod environment;
mod error;
mod file;
mod http;
mod hub;
mod keys;
mod settings;
mod value;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use environment::Environment;
pub use error::ConfigError;
pub use hub::HubVariables;
pub use keys::{KEYS, Key};
pub use settings::{
    Auth, DEFAULT_HUB, DaemonSettings, DownloadsSettings, HttpSettings, LogLevel, LogSettings,
    MemorySettings, ModelsSettings, Rate, RuntimeSettings, Settings, TelemetrySettings, Tls, WorkerSettings,
};

use error::Origin;
use value::Raw;

impl Settings {
    /// Defaults, then the file if there is one, then the environment.
    pub fn read(file: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        if let Some(text) = file::text(file)? {
            file::apply(&mut settings, file, text)?;
        }
        for key in KEYS {
            let variable = key.variable();
            if let Some(text) = environment.get(&variable) {
                (key.set)(&mut settings, Raw::Environment(text)).map_err(|allowed| {
                    ConfigError::BadValue {
                        origin: Origin::Environment,
                        key: variable.clone(),
                        value: text.to_owned(),
                        allowed,
                    }
                })?;
            }
        }
        Ok(settings)
    }
}
