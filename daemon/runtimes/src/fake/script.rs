//! The file that says what the fake model does.

use std::path::{Path, PathBuf};

use airunner_core::memory::Quantization;
use airunner_core::model::Capability;
use airunner_core::{ErrorKind, Fault};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::FILE;
use crate::package::{Files, capabilities};

const MAX_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Script {
    pub(super) load_ms_steps: Vec<u64>,
    pub(super) tokens: Option<Vec<String>>,
    pub(super) repeat: bool,
    pub(super) reasoning: Vec<String>,
    pub(super) tool_calls: Vec<ScriptedCall>,
    pub(super) argument_pieces: usize,
    pub(super) json_text: Option<String>,
    pub(super) token_interval_ms: u64,
    pub(super) prompt_ms: u64,
    pub(super) context_length: u32,
    pub(super) architecture: String,
    pub(super) warnings: Vec<String>,
    pub(super) chat_template: Option<String>,
    pub(super) capabilities: Option<Vec<ScriptedCapability>>,
    pub(super) memory_bytes: u64,
    pub(super) cache_bytes_per_token: u64,
    pub(super) variants: Vec<ScriptedVariant>,
    pub(super) estimate_bytes: Option<u64>,
    pub(super) out_of_memory_above: Option<u64>,
    pub(super) kill_on_load_times: u32,
    pub(super) fail: Map<String, Value>,
    pub(super) crash_on: Option<Place>,
    pub(super) hang_on: Option<Place>,
    pub(super) waits_for: Option<Gate>,
    pub(super) nan: bool,
    pub(super) stall_ms: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            load_ms_steps: Vec::new(),
            tokens: None,
            repeat: false,
            reasoning: Vec::new(),
            tool_calls: Vec::new(),
            argument_pieces: 1,
            json_text: None,
            token_interval_ms: 0,
            prompt_ms: 0,
            context_length: 4096,
            architecture: "fake".to_owned(),
            warnings: Vec::new(),
            chat_template: None,
            capabilities: None,
            memory_bytes: 0,
            cache_bytes_per_token: 0,
            variants: Vec::new(),
            estimate_bytes: None,
            out_of_memory_above: None,
            kill_on_load_times: 0,
            fail: Map::new(),
            crash_on: None,
            hang_on: None,
            waits_for: None,
            nan: false,
            stall_ms: 60_000,
        }
    }
}

/// One of several precisions the fake package pretends to have.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedVariant {
    pub(super) file: String,
    #[serde(deserialize_with = "level")]
    pub(super) level: Quantization,
    pub(super) weights_bytes: u64,
    #[serde(default)]
    pub(super) cache_bytes_per_token: u64,
    #[serde(default)]
    pub(super) activation_bytes: u64,
}

fn level<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Quantization, D::Error> {
    let text = String::deserialize(deserializer)?;
    Quantization::parse(&text).ok_or_else(|| D::Error::custom(format!("{text:?} is no level")))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct ScriptedCapability(Capability);

impl TryFrom<String> for ScriptedCapability {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Capability::parse(&text)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no capability"))
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedCall {
    pub(super) name: String,
    pub(super) arguments: Value,
}

/// Where it is not gone on until a file exists.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Gate {
    place: Place,
    file: PathBuf,
}

impl Gate {
    pub(super) fn is_closed(&self, place: Place) -> bool {
        self.place == place && !self.file.exists()
    }
}

/// Where something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) enum Place {
    Load,
    Unload,
    /// After so many tokens of an answer.
    Generate(usize),
}

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let count = text
            .strip_prefix("generate:")
            .and_then(|count| count.parse().ok());
        match (text.as_str(), count) {
            ("load", _) => Ok(Self::Load),
            ("unload", _) => Ok(Self::Unload),
            (_, Some(count)) => Ok(Self::Generate(count)),
            (_, None) => Err(format!("{text:?} is not \"load\", \"unload\" or \"generate:N\"")),
        }
    }
}

impl Script {
    pub(super) fn read(directory: &Path) -> Result<Option<(Files, Self)>, Fault> {
        let files = Files::open(directory)?;
        if !files.has(FILE) {
            return Ok(None);
        }
        let script = serde_json::from_slice(&files.read(FILE, MAX_BYTES)?)
            .map_err(|error| Fault::new(ErrorKind::ModelInvalid, format!("{FILE}: {error}")))?;
        Ok(Some((files, script)))
    }

    pub(super) fn fail_at(&self, place: &str) -> Result<(), Fault> {
        let Some(message) = self.fail.get(place).and_then(Value::as_str) else {
            return Ok(());
        };
        let kind = self
            .fail
            .get("kind")
            .and_then(Value::as_str)
            .and_then(ErrorKind::from_reason);
        Err(Fault::new(kind.unwrap_or(ErrorKind::ModelInvalid), message))
    }

    /// What the package says it can be asked for: by itself, it answers conversations.
    pub(super) fn capabilities(&self) -> Vec<Capability> {
        if let Some(told) = &self.capabilities {
            return told.iter().map(|capability| capability.0).collect();
        }
        let of_template = capabilities(Some(self.chat_template.as_deref().unwrap_or_default()));
        let has = |capability: &Capability| match capability {
            Capability::Tools => !self.tool_calls.is_empty() || of_template.contains(capability),
            Capability::Thinking => !self.reasoning.is_empty() || of_template.contains(capability),
            Capability::Completion | Capability::Chat | Capability::Embedding => {
                of_template.contains(capability)
            }
        };
        Capability::ALL.into_iter().filter(has).collect()
    }

    /// What the package pretends to have, the best first: never empty.
    pub(super) fn variants(&self) -> Vec<ScriptedVariant> {
        if !self.variants.is_empty() {
            return self.variants.clone();
        }
        vec![ScriptedVariant {
            file: FILE.to_owned(),
            level: Quantization::None,
            weights_bytes: self.memory_bytes,
            cache_bytes_per_token: self.cache_bytes_per_token,
            activation_bytes: 0,
        }]
    }
}
