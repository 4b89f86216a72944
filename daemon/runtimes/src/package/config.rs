//! The settings of a package, whichever files they come from.

use airunner_core::generate::Sampling;
use serde_json::Value;

use super::{Document, Files, PackageError};

pub(super) const HF_CONFIG: &str = "config.json";
pub(super) const HF_GENERATION: &str = "generation_config.json";
pub(super) const GENAI_CONFIG: &str = "genai_config.json";

/// What the program needs to know beside the graph itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// `llama`, `qwen3`, ...; empty if the package does not say.
    pub architecture: String,
    /// Longest context the package declares, tokens.
    pub context_length: Option<u32>,
    /// Tokens that at least some layers look back; the graph itself sees to it.
    pub sliding_window: Option<u32>,
    /// For graphs whose cache inputs do not tell.
    pub key_value_heads: Option<u32>,
    /// For graphs whose cache inputs do not tell.
    pub head_size: Option<u32>,
    pub attention_heads: Option<u32>,
    /// Tokens that end an answer, of all settings files.
    pub end_tokens: Vec<u32>,
    /// The package's own defaults.
    pub sampling: Sampling,
    /// For a person.
    pub warnings: Vec<String>,
}

impl ModelConfig {
    pub(super) fn read_hugging_face(files: &Files) -> Result<Self, PackageError> {
        let mut config = match Document::read_if_present(files, HF_CONFIG)? {
            Some(document) => Self::from_hugging_face(&document)?,
            None => Self::default(),
        };
        if let Some(document) = Document::read_if_present(files, HF_GENERATION)? {
            config.sampling = sampling(&document, "")?;
            config.end_tokens.extend(end_tokens(&document, "eos_token_id")?);
        }
        Ok(config)
    }

    fn from_hugging_face(document: &Document) -> Result<Self, PackageError> {
        // Packages that can also see or hear keep the language model's part apart.
        let part = ["text_config.", "llm_config.", "language_config.", ""]
            .into_iter()
            .find(|part| part.is_empty() || document.get(part.trim_end_matches('.')).is_some())
            .unwrap_or_default();
        let count = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| format!("{part}{name}")).collect();
            document.first_count(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let attention_heads = count(&["num_attention_heads", "n_head", "num_heads"])?;
        let hidden_size = count(&["hidden_size", "n_embd", "d_model"])?;
        let head_size = match count(&["head_dim", "head_size"])? {
            Some(size) => Some(size),
            None => hidden_size
                .zip(attention_heads)
                .and_then(|(hidden, heads)| hidden.checked_div(heads)),
        };
        Ok(Self {
            architecture: document.text("model_type")?.unwrap_or_default().to_owned(),
            context_length: count(&[
                "max_position_embeddings",
                "n_positions",
                "max_sequence_length",
                "max_seq_len",
                "seq_length",
                "n_ctx",
            ])?,
            sliding_window: count(&["sliding_window"])?,
            key_value_heads: count(&["num_key_value_heads", "num_kv_heads", "n_head_kv"])?
                .or(attention_heads),
            head_size,
            attention_heads,
            end_tokens: end_tokens(document, &format!("{part}eos_token_id"))?,
            ..Self::default()
        })
    }

    pub(super) fn read_genai(document: &Document) -> Result<Self, PackageError> {
        let mut config = Self {
            architecture: document.text("model.type")?.unwrap_or_default().to_owned(),
            context_length: document.count("model.context_length")?,
            sliding_window: document.count("model.decoder.sliding_window.window_size")?,
            key_value_heads: document.first_count(&[
                "model.decoder.num_key_value_heads",
                "model.decoder.num_attention_heads",
            ])?,
            head_size: document.count("model.decoder.head_size")?,
            attention_heads: document.count("model.decoder.num_attention_heads")?,
            end_tokens: end_tokens(document, "model.eos_token_id")?,
            sampling: sampling(document, "search.")?,
            warnings: Vec::new(),
        };
        config.warnings = ignored_libraries(document);
        Ok(config)
    }
}

/// Defaults of a generation config. `do_sample: false` means greedy, whatever else is written.
fn sampling(document: &Document, part: &str) -> Result<Sampling, PackageError> {
    let field = |name: &str| format!("{part}{name}");
    let number = |name: &str| document.number(&field(name));
    let greedy = document.flag(&field("do_sample"))? == Some(false);
    // Some packages write -1 for "off".
    let top_k = document
        .integer(&field("top_k"))?
        .map(|k| u32::try_from(k).unwrap_or(0));
    let sampling = Sampling {
        temperature: if greedy { Some(0.0) } else { number("temperature")? },
        top_k,
        top_p: number("top_p")?,
        min_p: number("min_p")?,
        repetition_penalty: number("repetition_penalty")?,
        ..Sampling::default()
    };
    sampling.validate().map_err(|fault| PackageError::Field {
        file: document.file().to_owned(),
        field: part.trim_end_matches('.').to_owned(),
        expected: "settings in their ranges",
        found: fault.message,
    })?;
    Ok(sampling)
}

/// One token id or a list of them.
fn end_tokens(document: &Document, field: &str) -> Result<Vec<u32>, PackageError> {
    let Some(value) = document.get(field) else {
        return Ok(Vec::new());
    };
    let wrong = || document.wrong(field, "a token id or a list of them", value);
    let id = |value: &Value| {
        value
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .ok_or_else(wrong)
    };
    match value.as_array() {
        Some(list) => list.iter().map(id).collect(),
        // -1 means "none" in some packages.
        None if value.as_i64() == Some(-1) => Ok(Vec::new()),
        None => Ok(vec![id(value)?]),
    }
}

/// Native code that a package asks to load is never loaded.
fn ignored_libraries(document: &Document) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(options) = document.get("model.decoder.session_options") else {
        return warnings;
    };
    for (key, value) in options.as_object().into_iter().flatten() {
        if key.contains("library") {
            warnings.push(format!(
                "{GENAI_CONFIG}: {key} {value} is ignored: packages load no libraries"
            ));
        }
    }
    let providers = options.get("provider_options").and_then(Value::as_array);
    for provider in providers
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
        .flatten()
    {
        let names_library = provider
            .1
            .as_object()
            .into_iter()
            .flatten()
            .any(|(key, _)| key.contains("library"));
        if names_library {
            warnings.push(format!(
                "{GENAI_CONFIG}: the library of provider {:?} is ignored: packages load no libraries",
                provider.0
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    #![expect(
        clippy::unwrap_in_result,
        reason = "set-up of tests, beside the result under test"
    )]
    use super::*;
    use std::fs;

    fn hugging_face(config: &str, generation: Option<&str>) -> Result<ModelConfig, PackageError> {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(HF_CONFIG), config).unwrap();
        if let Some(generation) = generation {
            fs::write(home.path().join(HF_GENERATION), generation).unwrap();
        }
        ModelConfig::read_hugging_face(&Files::open(home.path()).unwrap())
    }

    fn genai(config: &str) -> Result<ModelConfig, PackageError> {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(GENAI_CONFIG), config).unwrap();
        let files = Files::open(home.path()).unwrap();
        ModelConfig::read_genai(&Document::read(&files, GENAI_CONFIG)?)
    }

    #[test]
    fn reads_spellings_of_several_families() {
        let llama = hugging_face(
            r#"{"model_type": "llama", "max_position_embeddings": 8192, "hidden_size": 64,
                "num_attention_heads": 8, "num_key_value_heads": 2, "sliding_window": null}"#,
            None,
        )
        .unwrap();
        assert_eq!(
            (llama.architecture.as_str(), llama.context_length),
            ("llama", Some(8192))
        );
        assert_eq!((llama.key_value_heads, llama.head_size), (Some(2), Some(8)));
        let gpt2 = hugging_face(r#"{"n_positions": 1024, "n_embd": 768, "n_head": 12}"#, None).unwrap();
        assert_eq!(
            (gpt2.context_length, gpt2.key_value_heads, gpt2.head_size),
            (Some(1024), Some(12), Some(64))
        );
        let seeing = hugging_face(
            r#"{"text_config": {"max_position_embeddings": 5, "head_dim": 256}}"#,
            None,
        )
        .unwrap();
        assert_eq!((seeing.context_length, seeing.head_size), (Some(5), Some(256)));
    }

    #[test]
    fn generation_settings_become_defaults() {
        let sampled = hugging_face(
            "{}",
            Some(r#"{"do_sample": true, "temperature": 0.6, "top_k": 20, "top_p": 0.95}"#),
        );
        let sampling = sampled.unwrap().sampling;
        assert_eq!(
            (sampling.temperature, sampling.top_k, sampling.top_p),
            (Some(0.6), Some(20), Some(0.95))
        );
        let greedy = hugging_face(
            "{}",
            Some(r#"{"do_sample": false, "temperature": 0.6, "top_k": -1}"#),
        );
        let sampling = greedy.unwrap().sampling;
        assert_eq!((sampling.temperature, sampling.top_k), (Some(0.0), Some(0)));
    }

    #[test]
    fn impossible_settings_name_file_and_value() {
        let error = hugging_face("{}", Some(r#"{"temperature": -3}"#))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("generation_config.json") && error.contains("-3"),
            "{error}"
        );
        let error = hugging_face(r#"{"num_attention_heads": "x"}"#, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("config.json: num_attention_heads"), "{error}");
        assert!(
            hugging_face(r#"{"hidden_size": 5, "num_attention_heads": 0}"#, None)
                .unwrap()
                .head_size
                .is_none()
        );
    }

    #[test]
    fn libraries_in_a_package_are_ignored_aloud() {
        let config = genai(
            r#"{"model": {"type": "phi3", "context_length": 4096, "decoder": {"head_size": 96,
                "num_attention_heads": 32, "session_options": {"custom_ops_library": "evil.so",
                "provider_options": [{"ep": {"library_path": "/tmp/x.so"}}]}}},
                "search": {"do_sample": false}}"#,
        )
        .unwrap();
        assert_eq!(
            (config.context_length, config.head_size, config.key_value_heads),
            (Some(4096), Some(96), Some(32))
        );
        assert_eq!(config.sampling.temperature, Some(0.0));
        assert_eq!(config.warnings.len(), 2);
        assert!(config.warnings[0].contains("evil.so"), "{:?}", config.warnings);
    }
}
