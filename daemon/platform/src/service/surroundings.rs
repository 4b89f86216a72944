//! What of this process and its user decides how a service is made.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::status::Manager;
use super::{Definition, ServiceError};
use crate::places::{HOME_VARIABLE, Places, session_directory};

/// Variables that decide where things are. A service gets those that are set when it is
/// installed, because its manager does not know the user's shell.
const CARRIED: [&str; 6] = [
    HOME_VARIABLE,
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "ORT_DYLIB_PATH",
];
const SETTINGS_PREFIX: &str = "AIRUNNER_";

/// Read once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    pub places: Places,
    /// Where this user's units or agents are.
    pub units: PathBuf,
    /// Where what starts with the desktop is.
    pub autostart: PathBuf,
    /// The user's runtime directory, where there is one.
    pub runtime: Option<PathBuf>,
    /// The user's number or name, as the tools want it.
    pub user: Option<String>,
    /// Variables that a service is given.
    pub carried: Vec<(String, String)>,
    /// Variables that look like settings, which it is not given.
    pub left_behind: Vec<String>,
}

impl Surroundings {
    /// Of this process.
    pub fn of_process() -> Result<Self, ServiceError> {
        let base = directories::BaseDirs::new().ok_or(ServiceError::NoHome)?;
        let variables = std::env::vars_os().filter(|(_, value)| !value.is_empty());
        let (carried, left_behind) = sort(variables);
        let places = Places::from_environment()?;
        Ok(Self {
            places,
            units: super::os::units(&base),
            autostart: super::os::autostart(&base),
            runtime: session_directory(),
            user: super::os::user(),
            carried,
            left_behind,
        })
    }

    /// Who starts services here.
    pub(super) fn manager(&self) -> Result<Manager, ServiceError> {
        super::os::manager().map_err(ServiceError::NoManager)
    }

    /// What the tools need and a process without a login lacks.
    pub(super) fn for_tools(&self) -> Vec<(&'static str, PathBuf)> {
        self.runtime
            .clone()
            .map(|runtime| ("XDG_RUNTIME_DIR", runtime))
            .into_iter()
            .collect()
    }

    /// The directory that holds everything, where it is not the usual ones.
    #[must_use]
    pub fn own_home(&self) -> Option<&str> {
        let mut carried = self.carried.iter();
        let home = carried.find(|(name, _)| name == HOME_VARIABLE);
        home.map(|(_, home)| &**home)
    }

    /// The service that runs this program in these places.
    #[must_use]
    pub fn definition(&self, executable: &Path) -> Definition {
        Definition {
            executable: executable.to_path_buf(),
            socket: self.own_home().map(|_| self.places.socket()),
            environment: self.carried.clone(),
            for_everybody: false,
            error_log: self.places.state.join("airunnerd.stderr.log"),
        }
    }
}

/// What is carried, and the names of what is left behind.
fn sort(variables: impl Iterator<Item = (OsString, OsString)>) -> (Vec<(String, String)>, Vec<String>) {
    let (mut carried, mut left_behind) = (Vec::new(), Vec::new());
    for (name, value) in variables {
        let Ok(name) = name.into_string() else { continue };
        if CARRIED.contains(&&*name) {
            carried.extend(value.into_string().ok().map(|value| (name, value)));
        } else if name.starts_with(SETTINGS_PREFIX) {
            left_behind.push(name);
        }
    }
    carried.sort();
    left_behind.sort();
    (carried, left_behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_carried_and_settings_and_secrets_are_not() {
        let variables = [
            ("XDG_DATA_HOME", "/d"),
            ("HF_TOKEN", "secret"),
            ("AIRUNNER_MODELS_KEEP_ALIVE", "1m"),
            ("AIRUNNER_HOME", "/h"),
            ("PATH", "/bin"),
        ];
        let variables = variables.map(|(name, value)| (name.into(), value.into()));
        let (carried, left_behind) = sort(variables.into_iter());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            carried,
            [pair("AIRUNNER_HOME", "/h"), pair("XDG_DATA_HOME", "/d")]
        );
        assert_eq!(left_behind, ["AIRUNNER_MODELS_KEEP_ALIVE"]);
    }
}
