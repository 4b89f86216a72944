//! Requests on one model say what each says alone, from copies that compute with our own
//! operators too: packed rows, shared blocks, guesses.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Instant;

use airunner_kernels::Isa;
use airunner_runtimes::llm::prepack::prepack;
use airunner_runtimes::{Kernels, LlmRuntime, LoadOptions};
use support::{Answer, ask, greedy, load, options, packages, read};

/// Two are quantized dynamically: as they are, with one scale for all activations of a step,
/// company does change their answers.
fn found() -> [PathBuf; 9] {
    let builtin =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../installers/builtin-models/helper/package");
    [
        builtin,
        packages().join("llama-gqa-int4"),
        packages().join("llama-gqa-qdq4"),
        packages().join("qwen3-gqa-int4"),
        packages().join("qwen2-gqa"),
        packages().join("phi3-hf-mha"),
        packages().join("llama-hf-int8"),
        packages().join("qwen2-hf-int8"),
        packages().join("llama-hf-static8"),
    ]
}

fn from_copy(package: &Path, cache: &Path) -> LoadOptions {
    let made = prepack(&options(package), "m", cache).unwrap();
    let description = std::fs::read_to_string(made.join("rewritten.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    let name = package.display();
    assert_ne!(
        description["attention"],
        serde_json::json!([]),
        "{name}: {description}"
    );
    assert_eq!(description["refused"], serde_json::json!([]), "{name}");
    LoadOptions {
        prepacked_directory: Some(cache.to_owned()),
        ..options(package)
    }
}

/// Of different lengths; most begin alike.
fn prompts() -> Vec<String> {
    let beginning = "once upon a time there was a quick brown fox that jumped ".repeat(4);
    let ends = [
        "",
        "over the lazy dog",
        "and the",
        "a",
        "and slept",
        "and the fox and the fox and",
    ];
    let mut prompts: Vec<String> = ends.iter().map(|end| format!("{beginning}{end}")).collect();
    prompts.push("the".to_owned());
    prompts
}

fn all_at_once(model: &dyn LlmRuntime) -> Vec<Answer> {
    let receivers: Vec<_> = prompts()
        .iter()
        .map(|prompt| model.generate(greedy(prompt, Some(24)), Instant::now()).unwrap())
        .collect();
    let readers: Vec<_> = receivers
        .into_iter()
        .map(|receiver| std::thread::spawn(|| read(receiver).unwrap()))
        .collect();
    readers.into_iter().map(|reader| reader.join().unwrap()).collect()
}

#[test]
fn company_and_shared_beginnings_change_no_answer() {
    for package in found() {
        let cache = tempfile::tempdir().unwrap();
        let options = from_copy(&package, cache.path());
        let alone: Vec<Answer> = prompts()
            .iter()
            .map(|prompt| ask(&*load(&options).unwrap(), greedy(prompt, Some(24))).unwrap())
            .collect();
        let model = load(&options).unwrap();
        assert!(model.loaded().prepacked, "{}", package.display());
        for round in ["together", "again, from what was left"] {
            for (answer, expected) in all_at_once(&*model).iter().zip(&alone) {
                assert_eq!(answer.tokens, expected.tokens, "{round}: {}", package.display());
            }
        }
    }
}

/// Alone an answer may be guessed at, in company of many it is not.
#[test]
fn company_and_guesses_change_no_answer_that_is_drawn() {
    let drawn = |prompt: &str| {
        let mut request = greedy(prompt, Some(40));
        request.sampling.temperature = Some(0.7);
        request.sampling.repetition_penalty = Some(1.05);
        request.sampling.seed = Some(11);
        request
    };
    for package in found() {
        let cache = tempfile::tempdir().unwrap();
        let model = load(&from_copy(&package, cache.path())).unwrap();
        let alone: Vec<Answer> = prompts()
            .iter()
            .map(|prompt| ask(&*model, drawn(prompt)).unwrap())
            .collect();
        let receivers: Vec<_> = prompts()
            .iter()
            .map(|prompt| model.generate(drawn(prompt), Instant::now()).unwrap())
            .collect();
        for (receiver, expected) in receivers.into_iter().zip(&alone) {
            assert_eq!(
                read(receiver).unwrap().tokens,
                expected.tokens,
                "{}",
                package.display()
            );
        }
    }
}

/// Memory is set aside for one conversation as long as the context, and shared by all: here that
/// is less than the eight need.
#[test]
fn too_little_memory_for_all_changes_no_answer() {
    let prompts: Vec<String> = (0..8)
        .map(|one| format!("{one} {}", "a quick brown fox ".repeat(6 + one % 3)))
        .collect();
    for package in found() {
        let cache = tempfile::tempdir().unwrap();
        let options = LoadOptions {
            context_length: Some(160),
            ..from_copy(&package, cache.path())
        };
        let model = load(&options).unwrap();
        let alone: Vec<Answer> = prompts
            .iter()
            .map(|prompt| ask(&*model, greedy(prompt, None)).unwrap())
            .collect();
        model.trim().unwrap();
        let receivers: Vec<_> = prompts
            .iter()
            .map(|prompt| model.generate(greedy(prompt, None), Instant::now()).unwrap())
            .collect();
        let readers: Vec<_> = receivers
            .into_iter()
            .map(|receiver| std::thread::spawn(|| read(receiver).unwrap()))
            .collect();
        for (reader, expected) in readers.into_iter().zip(&alone) {
            let answer = reader.join().unwrap();
            assert_eq!(answer.tokens, expected.tokens, "{}", package.display());
        }
    }
}

#[test]
fn the_next_turn_computes_only_what_is_new() {
    for package in found() {
        let cache = tempfile::tempdir().unwrap();
        let model = load(&from_copy(&package, cache.path())).unwrap();
        let prompt = &prompts()[1];
        let first = ask(&*model, greedy(prompt, Some(8))).unwrap();
        let next = format!("{prompt}{} and then", first.text);
        let second = ask(&*model, greedy(&next, Some(8))).unwrap();
        let (before, usage) = (first.done().usage.prompt_tokens, second.done().usage);
        assert!(
            usage.cached_tokens + 1 >= before && usage.cached_tokens < usage.prompt_tokens,
            "{usage:?} after {before}: {}",
            package.display()
        );
        model.trim().unwrap();
        let third = ask(&*model, greedy(&next, Some(8))).unwrap();
        assert_eq!(third.done().usage.cached_tokens, 0, "all was given back");
        assert_eq!(third.tokens, second.tokens, "{}", package.display());
    }
}

#[test]
fn how_many_threads_compute_changes_no_answer_and_may_change_meanwhile() {
    for package in found() {
        let cache = tempfile::tempdir().unwrap();
        let options = LoadOptions {
            threads: Some(3),
            kernels: Kernels::Only(Isa::best()),
            prepacked_directory: Some(cache.path().to_owned()),
            ..options(&package)
        };
        prepack(&options, "m", cache.path()).unwrap();
        let model = load(&options).unwrap();
        let name = package.display();
        for (most, threads) in [(0, 1), (9, 3), (1, 1)] {
            assert_eq!(model.use_threads(most), threads, "{name}");
        }
        let expected = all_at_once(&*model);
        let short = ask(&*model, greedy("the", Some(2))).unwrap();
        model.trim().unwrap();
        let receivers: Vec<_> = prompts()
            .iter()
            .map(|prompt| model.generate(greedy(prompt, Some(24)), Instant::now()).unwrap())
            .collect();
        for most in [3, 2, 1, 3, 1, 2, 3, 2] {
            assert_eq!(model.use_threads(most), most, "{name}");
            let again = ask(&*model, greedy("the", Some(2))).unwrap();
            assert_eq!(again.tokens, short.tokens, "{name}");
        }
        for (receiver, expected) in receivers.into_iter().zip(&expected) {
            assert_eq!(read(receiver).unwrap().tokens, expected.tokens, "{name}");
        }
    }
}

#[test]
fn a_package_that_is_not_ours_to_compute_keeps_its_threads() {
    let options = LoadOptions {
        threads: Some(2),
        ..options(&found()[1])
    };
    assert_eq!(load(&options).unwrap().use_threads(1), 2);
}
