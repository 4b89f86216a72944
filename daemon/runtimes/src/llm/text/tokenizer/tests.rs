//! Tests.
use super::*;

impl Tokenizer {
    pub(in crate::llm::text) fn from_tokens(tokens: &[&str]) -> Self {
        let vocab: serde_json::Map<String, serde_json::Value> = tokens
            .iter()
            .enumerate()
            .map(|(id, token)| ((*token).to_owned(), id.into()))
            .collect();
        let file = serde_json::json!({
            "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
            "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": vocab, "unk_token": tokens[0]},
        });
        Self::from_bytes(
            file.to_string().into_bytes(),
            std::path::Path::new("tokenizer.json"),
            TIME_LIMIT,
        )
        .unwrap()
    }
}
