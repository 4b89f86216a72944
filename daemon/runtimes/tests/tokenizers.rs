//! Tokenizers encode and decode as the reference does, and an answer that comes token by token is
//! the same text.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use airunner_runtimes::llm::text::{TextStream, Tokenizer};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|id| u32::try_from(id.as_u64().unwrap()).unwrap())
        .collect()
}

/// Every tokenizer with its cases.
fn golden() -> Vec<(String, Tokenizer, Vec<Value>)> {
    let folder = repository().join("tests/testdata/parity");
    let golden = fs::read_to_string(folder.join("tokenizers.json")).unwrap();
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let load = |entry: &Value| {
        let file = entry["file"].as_str().unwrap();
        let package = folder.join(file).parent().unwrap().to_owned();
        (
            file.to_owned(),
            Tokenizer::load(&package).unwrap(),
            entry["cases"].as_array().unwrap().clone(),
        )
    };
    golden["tokenizers"]
        .as_array()
        .unwrap()
        .iter()
        .map(load)
        .collect()
}

#[test]
fn texts_become_the_same_ids_and_back() {
    for (file, tokenizer, cases) in golden() {
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let with_special = ids(&case["ids_with_special"]);
            assert_eq!(
                tokenizer.encode(text, false).unwrap(),
                ids(&case["ids"]),
                "{file}: {text:?}"
            );
            assert_eq!(
                tokenizer.encode(text, true).unwrap(),
                with_special,
                "{file}: {text:?}"
            );
            let decoded = |skip| tokenizer.decode(&with_special, skip).unwrap();
            assert_eq!(Value::from(decoded(true)), case["decoded"], "{file}: {text:?}");
            assert_eq!(
                Value::from(decoded(false)),
                case["decoded_with_special"],
                "{file}: {text:?}"
            );
        }
    }
}

fn streamed(tokenizer: &Tokenizer, tokens: &[u32]) -> String {
    let mut stream = TextStream::alone(tokenizer);
    let mut text: String = tokens
        .iter()
        .map(|&token| stream.push(tokenizer, token))
        .collect();
    text.push_str(&stream.finish());
    text
}

#[test]
fn streamed_text_is_the_decoded_text() {
    for (file, tokenizer, cases) in golden() {
        for case in cases {
            let tokens = ids(&case["ids_with_special"]);
            assert_eq!(
                streamed(&tokenizer, &tokens),
                case["decoded"].as_str().unwrap(),
                "{file}"
            );
        }
    }
}

#[test]
fn random_tokens_stream_to_what_they_decode_to() {
    for (file, tokenizer, _) in golden() {
        let size = u32::try_from(tokenizer.vocabulary_size()).unwrap();
        let spells_bytes = tokenizer.token_to_id("<0x0A>").is_some();
        let sequences = prop::collection::vec(0..size, 0..40);
        TestRunner::default()
            .run(&sequences, |mut tokens| {
                if spells_bytes {
                    // A run of broken bytes swallows its neighbours in the library, whole ones too.
                    tokens.retain(|&token| !tokenizer.id_to_token(token).unwrap().starts_with("<0x"));
                }
                let decoded = tokenizer.decode(&tokens, true).unwrap();
                prop_assert_eq!(streamed(&tokenizer, &tokens), decoded, "{}", file);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn random_texts_survive_encoding_and_streaming() {
    for (file, tokenizer, _) in golden() {
        TestRunner::default()
            .run(&"[a-zA-Zéß中👍 .,\n]{0,60}", |text| {
                let tokens = tokenizer.encode(&text, false).unwrap();
                let decoded = tokenizer.decode(&tokens, true).unwrap();
                prop_assert_eq!(&streamed(&tokenizer, &tokens), &decoded, "{}", file);
                prop_assert_eq!(&decoded, &text, "{}", file);
                let bytes: Vec<u8> = tokens
                    .iter()
                    .flat_map(|&token| tokenizer.token_bytes(token))
                    .collect();
                prop_assert!(String::from_utf8(bytes).unwrap().ends_with(&decoded), "{}", file);
                Ok(())
            })
            .unwrap();
    }
}

#[test]
fn the_trained_story_model_round_trips() {
    let package = repository().join("../shared/testdata/stories260K");
    if !package.is_dir() {
        eprintln!("SKIPPED: stories260K is not beside this checkout");
        return;
    }
    let tokenizer = Tokenizer::load(&package).unwrap();
    let golden: Value =
        serde_json::from_str(&fs::read_to_string(package.join("golden.json")).unwrap()).unwrap();
    let tokens = ids(&golden["greedy_ids"]);
    let text = golden["text"].as_str().unwrap();
    assert_eq!(streamed(&tokenizer, &tokens), text);
    let prompt = golden["prompt"].as_str().unwrap();
    let length = tokenizer.encode(prompt, true).unwrap().len();
    assert_eq!(tokenizer.encode(prompt, true).unwrap(), tokens[..length]);
    let mut rest = TextStream::continuing();
    let answer: String = tokens[length..]
        .iter()
        .map(|&token| rest.push(&tokenizer, token))
        .collect();
    assert_eq!(prompt.to_owned() + &answer, text);
}
