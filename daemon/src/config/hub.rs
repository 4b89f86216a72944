//! The variables that all tools of the Hugging Face hub share, so that what was set up for one of
//! them works here too.

use std::fmt;
use std::path::PathBuf;

use super::ConfigError;
use super::value::{checked_hub, hub_allowed};

const ENDPOINT: &str = "HF_ENDPOINT";

/// All that are looked at; those without `HF` say where the caches of this user are.
pub(super) const VARIABLES: [&str; 9] = [
    ENDPOINT,
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "XDG_CACHE_HOME",
    "HOME",
    "USERPROFILE",
];

/// What they say.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct HubVariables {
    /// As it was written; it may be no address.
    endpoint: Option<String>,
    /// A secret.
    pub token: Option<String>,
    /// Where a token is if there is none in the environment; the file need not exist.
    pub token_file: Option<PathBuf>,
    /// Where the hub's own tools keep what they fetched; it need not exist.
    pub cache: Option<PathBuf>,
    pub offline: bool,
}

impl HubVariables {
    pub(super) fn of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        let path = |name: &str| get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let user = || path("HOME").or_else(|| path("USERPROFILE"));
        let caches = || path("XDG_CACHE_HOME").or_else(|| Some(user()?.join(".cache")));
        let home = path("HF_HOME").or_else(|| Some(caches()?.join("huggingface")));
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        Self {
            endpoint: get(ENDPOINT).map(|text| text.trim().to_owned()),
            token: get("HF_TOKEN").map(|token| token.trim().to_owned()),
            token_file: path("HF_TOKEN_PATH").or_else(|| in_home("token")),
            cache: path("HF_HUB_CACHE").or_else(|| in_home("hub")),
            offline: get("HF_HUB_OFFLINE").is_some_and(is_true),
        }
    }

    /// The address without a slash at its end; `None` if there is none. One that is none is an
    /// error: whoever named a hub wants no other one asked, which would be told the token, too.
    pub fn endpoint(&self) -> Result<Option<String>, ConfigError> {
        let refused = || ConfigError::BadVariable {
            name: ENDPOINT,
            allowed: hub_allowed(),
        };
        let text = self.endpoint.as_deref().filter(|text| !text.is_empty());
        text.map(|text| checked_hub(text).ok_or_else(refused)).transpose()
    }
}

/// As the hub's own library reads a switch.
fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "1" | "on" | "yes" | "true")
}

impl fmt::Debug for HubVariables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubVariables")
            .field("endpoint", &self.endpoint.as_ref().map(|_| "set"))
            .field("token", &self.token.as_ref().map(|_| "set"))
            .field("token_file", &self.token_file)
            .field("cache", &self.cache)
            .field("offline", &self.offline)
            .finish()
    }
}
