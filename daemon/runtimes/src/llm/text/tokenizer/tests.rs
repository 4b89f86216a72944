//! Hostile and damaged tokenizers; equality with the reference is tested in `tests/tokenizers.rs`.

use std::path::Path;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use serde_json::{Value, json};

use super::*;

/// A tokenizer of whole words.
fn file(tokens: &[&str]) -> Value {
    let vocabulary: serde_json::Map<String, Value> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), id.into()))
        .collect();
    json!({
        "version": "1.0", "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": tokens[0]},
    })
}

fn load(file: &Value, limit: Duration) -> Result<Tokenizer, Fault> {
    let bytes = file.to_string().into_bytes();
    Tokenizer::from_bytes(bytes, Path::new("tokenizer.json"), limit).map_err(Fault::from)
}

fn split_by(pattern: &str) -> Value {
    let mut file = file(&["?", "a"]);
    file["pre_tokenizer"] =
        json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
    file
}

impl Tokenizer {
    /// One token per word of the list; the first stands for all others.
    pub(in crate::llm::text) fn from_tokens(tokens: &[&str]) -> Self {
        load(&file(tokens), TIME_LIMIT).unwrap()
    }

    /// The file as it is, for tests of what builds on a tokenizer.
    pub(in crate::llm::text) fn from_json(file: &Value) -> Self {
        load(file, TIME_LIMIT).unwrap()
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let fault = Fault::from(Tokenizer::load(directory.path()).unwrap_err());
    assert_eq!(fault.kind, ErrorKind::ModelIncompatible);
    assert!(fault.message.contains("tokenizer.json is missing"), "{fault}");
}

#[test]
fn a_huge_file_is_refused_unread() {
    let directory = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(directory.path().join("tokenizer.json")).unwrap();
    file.set_len(1 << 30).unwrap();
    let fault = Fault::from(Tokenizer::load(directory.path()).unwrap_err());
    assert_eq!(fault.kind, ErrorKind::ModelInvalid);
    assert!(fault.message.contains("1073741824"), "{fault}");
}

#[test]
fn garbage_is_invalid_whatever_the_library_makes_of_it() {
    let mut damaged = vec![
        json!(null),
        json!([]),
        json!({"model": {}}),
        json!({"version": "1.0"}),
    ];
    for decoder in [
        json!({"type": "Nothing"}),
        json!(3),
        json!({"type": "Sequence", "decoders": 5}),
    ] {
        let mut file = file(&["?"]);
        file["decoder"] = decoder;
        damaged.push(file);
    }
    for file in damaged {
        let fault = load(&file, TIME_LIMIT).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ModelInvalid, "{file}: {fault}");
    }
    let bytes = b"{\"version\": \"1.".to_vec();
    let error = Tokenizer::from_bytes(bytes, Path::new("tokenizer.json"), TIME_LIMIT).unwrap_err();
    assert_eq!(Fault::from(error).kind, ErrorKind::ModelInvalid);
}

#[test]
fn a_decoder_that_makes_the_library_panic_is_an_error() {
    let mut file = file(&["?", ""]);
    file["decoder"] = json!({"type": "Strip", "content": "x", "start": 0, "stop": 3});
    let tokenizer = load(&file, TIME_LIMIT).unwrap();
    assert!(matches!(
        tokenizer.decode(&[1], false),
        Err(TokenizerError::Panicked)
    ));
    assert_eq!(tokenizer.decode(&[], false).unwrap(), "");
}

#[test]
fn patterns_that_cannot_be_compiled_or_multiply_are_refused() {
    let long = "a".repeat(9_000);
    for pattern in [
        "(",
        "(?:(?:a{100}){100}){100}",
        "((?=a)(x{1,999}){999}){999}",
        long.as_str(),
    ] {
        let fault = load(&split_by(pattern), TIME_LIMIT).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ModelInvalid, "{fault}");
    }
    for deep in [
        "(".repeat(4000) + &")".repeat(4000),
        "(?=".repeat(2000) + &")".repeat(2000),
        "a?".repeat(4000),
    ] {
        // Too deep or not, it comes back.
        let _ = load(&split_by(&deep), TIME_LIMIT);
    }
    let mut many = file(&["?"]);
    many["normalizer"] = json!({"type": "Sequence", "normalizers": vec![json!({"type": "NFC"}); 600]});
    assert!(load(&many, TIME_LIMIT).unwrap_err().message.contains("601 rules"));
}

/// Alternatives that double with each letter stay below the library's own limit here, at every
/// place of the text again.
#[test]
fn a_pattern_that_takes_for_ever_is_found_while_loading() {
    let fault = load(&split_by("(?:a|a){1,19}(?=b)|a"), Duration::from_millis(50)).unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ModelInvalid);
    assert!(fault.message.contains("patterns are too costly"), "{fault}");
}

/// Looks through the rest of the text at every place: harmless for a word, hours for a long run.
#[test]
fn a_text_that_makes_a_pattern_slow_is_given_up_at_the_deadline() {
    let tokenizer = load(&split_by("(a)*?(?=b)|a"), TIME_LIMIT).unwrap();
    assert_eq!(tokenizer.encode("aaa", false).unwrap(), [1, 1, 1]);
    let guard = tokenizer.guard.as_ref().unwrap();
    let impatient = Tokenizer {
        guard: Some(guard.within(Duration::from_millis(100))),
        ..tokenizer.clone()
    };
    let error = impatient.encode(&"a".repeat(400_000), false).unwrap_err();
    assert!(
        matches!(error, TokenizerError::TooSlow { bytes: 400_000, .. }),
        "{error}"
    );
    assert_eq!(
        tokenizer.encode("aaa", false).unwrap(),
        [1, 1, 1],
        "the next caller is served"
    );
}

#[test]
fn a_text_beyond_the_limit_is_refused_by_its_beginning() {
    let mut file = file(&["?", "a"]);
    file["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
    let tokenizer = load(&file, TIME_LIMIT).unwrap();
    assert_eq!(tokenizer.encode_bounded("a a a", false, 3).unwrap(), [1, 1, 1]);
    let error = tokenizer.encode_bounded("a a a a", false, 3).unwrap_err();
    assert!(
        matches!(error, TokenizerError::TooMany { tokens: 4, limit: 3 }),
        "{error}"
    );
    let error = tokenizer
        .encode_bounded(&"a ".repeat(5 << 20), false, 1000)
        .unwrap_err();
    let TokenizerError::TooManyAtLeast { tokens, limit: 1000 } = error else {
        panic!("{error}")
    };
    assert!((1001..50_000).contains(&tokens), "{tokens} tokens were looked at");
    let fault = Fault::from(TokenizerError::TooManyAtLeast { tokens, limit: 1000 });
    assert_eq!(fault.kind, ErrorKind::ContextLengthExceeded);
    // Sparse at its beginning, the text is looked at further.
    let sparse = format!("{}{}", " ".repeat(100_000), "a ".repeat(2000));
    assert!(tokenizer.encode_bounded(&sparse, false, 1000).is_err());
    assert_eq!(
        tokenizer.encode_bounded(&sparse, false, 2000).unwrap().len(),
        2000
    );
}

#[test]
fn nothing_is_cut_or_padded() {
    let mut file = file(&["?", "a"]);
    file["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
    file["truncation"] =
        json!({"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"});
    file["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_id": 0,
        "pad_type_id": 0, "pad_token": "?", "pad_to_multiple_of": null});
    assert_eq!(
        load(&file, TIME_LIMIT).unwrap().encode("a a a", false).unwrap(),
        [1, 1, 1]
    );
}
