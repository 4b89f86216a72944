//! `tokenizer_config.json` and `chat_template.jinja`: special tokens and chat templates.

use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault, chain};
use serde_json::{Map, Value};

use super::files::{ReadError, read, read_text};

const CONFIG_LIMIT: u64 = 16 << 20;
const TEMPLATE_LIMIT: u64 = 1 << 20;

/// The special tokens a package names, such as `bos_token`, as a template's variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens(Vec<(String, String)>);

impl SpecialTokens {
    const NAMES: [&str; 7] = [
        "bos_token",
        "eos_token",
        "unk_token",
        "sep_token",
        "pad_token",
        "cls_token",
        "mask_token",
    ];

    /// A token is written as a string or as an object with its `content`.
    fn from_config(config: &Map<String, Value>) -> Self {
        let content = |name: &str| match config.get(name) {
            Some(Value::String(token)) => Some(token.clone()),
            Some(Value::Object(token)) => token.get("content")?.as_str().map(str::to_owned),
            Some(_) | None => None,
        };
        Self(
            Self::NAMES
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), content(name)?)))
                .collect(),
        )
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|entry| entry.0 == name)
            .map(|entry| entry.1.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, token)| (name.as_str(), token.as_str()))
    }
}

/// What a package says about its tokenizer besides `tokenizer.json`. Everything may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenizerConfig {
    pub special_tokens: SpecialTokens,
    pub add_bos_token: Option<bool>,
    /// Source of the chat template.
    pub template: Option<String>,
    /// Source of the chat template for conversations with tools, where it is another.
    pub tool_template: Option<String>,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{} is not a JSON object: import the package again", path.display())]
    NotAnObject {
        path: PathBuf,
        #[source]
        source: Option<serde_json::Error>,
    },
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        match error {
            ConfigError::Read(error) => error.into(),
            ConfigError::NotAnObject { .. } => Self::new(ErrorKind::ModelInvalid, chain(&error)),
        }
    }
}

impl TokenizerConfig {
    /// Reads `tokenizer_config.json` and `chat_template.jinja`, of which the latter wins.
    pub fn load(directory: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let path = directory.join("tokenizer_config.json");
        if let Some(bytes) = read(&path, CONFIG_LIMIT)? {
            let object = serde_json::from_slice::<Map<String, Value>>(&bytes).map_err(|source| {
                ConfigError::NotAnObject {
                    path,
                    source: Some(source),
                }
            })?;
            config = Self::from_config(&object);
        }
        if let Some(template) = read_text(&directory.join("chat_template.jinja"), TEMPLATE_LIMIT)? {
            config.template = Some(template);
            config.tool_template = None;
        }
        Ok(config)
    }

    fn from_config(config: &Map<String, Value>) -> Self {
        let (template, tool_template) = templates(config.get("chat_template"));
        Self {
            special_tokens: SpecialTokens::from_config(config),
            add_bos_token: config.get("add_bos_token").and_then(Value::as_bool),
            template,
            tool_template,
        }
    }
}

/// A template is a string, or a list of named ones of which `default` and `tool_use` count.
fn templates(value: Option<&Value>) -> (Option<String>, Option<String>) {
    match value {
        Some(Value::String(template)) => (Some(template.clone()), None),
        Some(Value::Array(list)) => {
            let named = |name: &str| {
                let entry = list
                    .iter()
                    .find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))?;
                entry.get("template")?.as_str().map(str::to_owned)
            };
            (named("default"), named("tool_use"))
        }
        Some(_) | None => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(files: &[(&str, &str)]) -> TokenizerConfig {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        TokenizerConfig::load(directory.path()).unwrap()
    }

    #[test]
    fn reads_both_spellings_of_tokens_and_templates() {
        let config = written(&[(
            "tokenizer_config.json",
            r#"{"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>", "pad_token": null,
                "add_bos_token": true,
                "chat_template": [{"name": "tool_use", "template": "T"}, {"name": "default", "template": "D"}]}"#,
        )]);
        assert_eq!(config.special_tokens.get("bos_token"), Some("<s>"));
        assert_eq!(config.special_tokens.get("eos_token"), Some("</s>"));
        assert_eq!(config.special_tokens.get("pad_token"), None);
        assert_eq!(config.add_bos_token, Some(true));
        assert_eq!(
            (config.template.as_deref(), config.tool_template.as_deref()),
            (Some("D"), Some("T"))
        );
    }

    #[test]
    fn the_template_file_wins_and_everything_may_be_absent() {
        let config = written(&[
            ("tokenizer_config.json", r#"{"chat_template": "old"}"#),
            ("chat_template.jinja", "file"),
        ]);
        assert_eq!(config.template.as_deref(), Some("file"));
        assert_eq!(written(&[]), TokenizerConfig::default());
    }

    #[test]
    fn refuses_what_is_no_json_object_or_no_file() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tokenizer_config.json"), "[").unwrap();
        let fault = Fault::from(TokenizerConfig::load(directory.path()).unwrap_err());
        assert_eq!(fault.kind, ErrorKind::ModelInvalid);
        assert!(fault.message.contains("tokenizer_config.json"), "{fault}");
        std::fs::remove_file(directory.path().join("tokenizer_config.json")).unwrap();
        std::fs::create_dir(directory.path().join("chat_template.jinja")).unwrap();
        let fault = Fault::from(TokenizerConfig::load(directory.path()).unwrap_err());
        assert!(fault.message.contains("not a regular file"), "{fault}");
    }
}
