//! Loading `tokenizer.json`: what is refused before the library sees it, and what is tried once.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::decoding::Decoding;
use super::{STACK_BYTES, TIME_LIMIT, Tokenizer, TokenizerError};
use crate::llm::text::files::read;
use crate::llm::text::guard::Guard;

/// The largest published vocabularies need about 35 MiB.
pub(crate) const MAX_TOKENIZER_BYTES: u64 = 64 << 20;
/// The longest published pattern has about 600 bytes.
const PATTERN_LIMIT: usize = 8 << 10;
const PATTERNS_LIMIT: usize = 64;
/// Normalizers, pre-tokenizers and decoders together.
const RULES_LIMIT: usize = 512;
/// A trial text is this long, bytes.
const TRIAL_BYTES: usize = 4 << 10;
/// The longest the trial may take; real patterns need a few milliseconds.
const TRIAL_LIMIT: Duration = Duration::from_secs(15);

/// The rules of a `tokenizer.json`; the vocabulary is passed over.
#[derive(Deserialize)]
struct Rules {
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default, rename = "model")]
    _model: IgnoredAny,
}

impl Tokenizer {
    /// Loads `tokenizer.json` of a package.
    pub fn load(directory: &Path) -> Result<Self, TokenizerError> {
        let path = directory.join("tokenizer.json");
        let bytes = read(&path, MAX_TOKENIZER_BYTES)?;
        let bytes = bytes.ok_or_else(|| TokenizerError::Missing { path: path.clone() })?;
        Self::from_bytes(bytes, &path, TIME_LIMIT)
    }

    /// `path` is for the messages, `limit` the longest that the trial or any later text may take.
    pub(super) fn from_bytes(bytes: Vec<u8>, path: &Path, limit: Duration) -> Result<Self, TokenizerError> {
        let parse = |source| TokenizerError::Parse {
            path: path.to_owned(),
            source,
        };
        let refused = |reason| TokenizerError::Refused {
            path: path.to_owned(),
            reason,
        };
        let rules: Rules = serde_json::from_slice(&bytes).map_err(|error| parse(error.into()))?;
        let patterns = check(&rules).map_err(refused)?;
        let guard = Guard::new("tokenizer", limit);
        let size = bytes.len();
        let loaded = guard.run(STACK_BYTES, move || library(&bytes));
        let inner = loaded
            .map_err(|why| TokenizerError::interrupted(why, size))?
            .map_err(parse)?;
        let special = inner
            .get_added_tokens_decoder()
            .into_iter()
            .filter(|(_, token)| token.special);
        let tokenizer = Self {
            special: Arc::new(special.map(|(id, _)| id).collect::<HashSet<u32>>()),
            decoding: Decoding::of(&rules.decoder),
            inner: Arc::new(inner),
            guard: (!patterns.is_empty()).then_some(guard),
        };
        tokenizer.try_patterns(&patterns, limit)?;
        Ok(tokenizer)
    }

    /// Encodes runs of what the patterns themselves are made of, so that one that takes for ever
    /// is found when the model loads. One that is slow only for much longer texts is met by the
    /// deadline of each text.
    fn try_patterns(&self, patterns: &[String], limit: Duration) -> Result<(), TokenizerError> {
        if patterns.is_empty() {
            return Ok(());
        }
        let mut letters: Vec<char> = "a1 .\n\u{e9}".chars().collect();
        letters.extend(
            patterns
                .iter()
                .flat_map(|pattern| pattern.chars())
                .filter(|c| c.is_alphanumeric()),
        );
        letters.sort_unstable();
        letters.dedup();
        letters.truncate(64);
        let mixed: String = letters.iter().cycle().take(TRIAL_BYTES / 2).collect();
        let runs = letters
            .iter()
            .map(|&letter| letter.to_string().repeat(TRIAL_BYTES / 64) + "!");
        let text: String = runs.chain([mixed]).collect();
        let trial = Guard::new("tokenizer", limit.min(TRIAL_LIMIT));
        let (inner, bytes) = (Arc::clone(&self.inner), text.len());
        let tried = trial.run(STACK_BYTES, move || super::encode(&inner, &text, false));
        tried
            .map_err(|why| TokenizerError::interrupted(why, bytes))?
            .map(drop)
    }
}

/// The library's tokenizer, which neither cuts nor pads: nothing is lost silently here.
fn library(bytes: &[u8]) -> Result<tokenizers::Tokenizer, Box<dyn std::error::Error + Send + Sync>> {
    let mut tokenizer = tokenizers::Tokenizer::from_bytes(bytes)?;
    tokenizer.with_truncation(None)?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// The patterns of the rules, or why they are refused.
fn check(rules: &Rules) -> Result<Vec<String>, String> {
    let mut patterns = Vec::new();
    let mut count = 0;
    for part in [&rules.normalizer, &rules.pre_tokenizer, &rules.decoder] {
        collect(part, &mut patterns, &mut count);
    }
    if count > RULES_LIMIT {
        return Err(format!("it has {count} rules, at most {RULES_LIMIT} are allowed"));
    }
    if patterns.len() > PATTERNS_LIMIT {
        return Err(format!(
            "it has {} patterns, at most {PATTERNS_LIMIT} are allowed",
            patterns.len()
        ));
    }
    for pattern in &patterns {
        if pattern.len() > PATTERN_LIMIT {
            return Err(format!(
                "a pattern has {} bytes, at most {PATTERN_LIMIT} are allowed",
                pattern.len()
            ));
        }
        if let Some(copies) = nested_copies(pattern) {
            return Err(format!(
                "a pattern repeats a part {copies} times, at most {COPIES_LIMIT} are allowed"
            ));
        }
    }
    Ok(patterns)
}

fn collect(rule: &Value, patterns: &mut Vec<String>, count: &mut usize) {
    match rule {
        Value::Object(object) => {
            *count += usize::from(object.contains_key("type"));
            patterns.extend(object.get("Regex").and_then(Value::as_str).map(str::to_owned));
            object.values().for_each(|rule| collect(rule, patterns, count));
        }
        Value::Array(list) => list.iter().for_each(|rule| collect(rule, patterns, count)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Counted repetitions are compiled by copying, so nested ones multiply.
const COPIES_LIMIT: u64 = 10_000;

/// The product of all counts such as `{1,1000}` of a pattern, where it is above the limit: an
/// upper bound of how often a part is copied.
fn nested_copies(pattern: &str) -> Option<u64> {
    let mut copies = 1_u64;
    for after in pattern.split('{').skip(1) {
        let Some((count, _)) = after.split_once('}') else {
            continue;
        };
        let largest = count
            .split(',')
            .filter_map(|number| number.trim().parse::<u64>().ok())
            .max();
        copies = copies.saturating_mul(largest.unwrap_or(1).max(1));
    }
    (copies > COPIES_LIMIT).then_some(copies)
}
