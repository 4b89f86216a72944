//! The environment, looked at once.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::hub::{self, HubVariables};
use super::keys::keys;

const PREFIX: &str = "AIRUNNER_";
/// Where ONNX Runtime's own tools look for its library.
const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The variables that concern this program. An empty one counts as not set.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

/// Names only: one of the values is a token.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name: std::ffi::OsString| name.into_string().ok();
        Self::of(std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))))
    }

    /// Of these variables.
    #[must_use]
    pub fn of(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let concerns = |name: &str| {
            name.starts_with(PREFIX) || name == LIBRARY_VARIABLE || hub::VARIABLES.contains(&name)
        };
        let variables = variables
            .into_iter()
            .filter(|(name, value)| concerns(name) && !value.is_empty())
            .collect();
        Self { variables }
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The library named by the variable that ONNX Runtime's bindings share.
    #[must_use]
    pub fn onnxruntime_library(&self) -> Option<PathBuf> {
        self.get(LIBRARY_VARIABLE).map(PathBuf::from)
    }

    /// What the tools of the Hugging Face hub agree on.
    #[must_use]
    pub fn hub(&self) -> HubVariables {
        HubVariables::of(|name| self.get(name))
    }

    /// Variables that look like settings and are none: probably misspelt.
    #[must_use]
    pub fn unknown(&self) -> Vec<&str> {
        let known = |name: &str| {
            !name.starts_with(PREFIX)
                || name == airunner_platform::HOME_VARIABLE
                || keys().any(|key| key.variable() == name)
        };
        self.variables
            .keys()
            .map(String::as_str)
            .filter(|name| !known(name))
            .collect()
    }
}
