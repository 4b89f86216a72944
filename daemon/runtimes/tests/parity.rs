//! Every package of `tests/testdata/parity` says, token by token, what the reference
//! implementation says: alone, in a batch, with prompts in pieces and with reused beginnings.

#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::time::Instant;

use airunner_core::generate::{FinishReason, GenerateEvent};
use airunner_runtimes::llm::prepack::prepack;
use airunner_runtimes::{LlmRuntime, LoadOptions};
use serde::Deserialize;
use support::{Answer, ask, greedy, load, options, packages, read};

/// What the reference implementation computed.
#[derive(Deserialize)]
struct Golden {
    eos_token_ids: Vec<u32>,
    max_new_tokens: u32,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    /// Absent where no text has these tokens.
    prompt: Option<String>,
    prompt_ids: Vec<u32>,
    output_ids: Vec<u32>,
}

impl Golden {
    /// Of the graph that the runtime chooses: variants of other element types say other things.
    fn read(package: &Path) -> Self {
        let variant = airunner_runtimes::package::inspect(package)
            .unwrap()
            .variants
            .remove(0);
        let stem = variant.rsplit('/').next().unwrap().trim_end_matches(".onnx");
        let own = package.join(format!("golden{}.json", stem.trim_start_matches("model")));
        let file = std::fs::read(&own)
            .or_else(|_| std::fs::read(package.join("golden.json")))
            .unwrap();
        serde_json::from_slice(&file).unwrap()
    }

    /// Cases that a text can ask for.
    fn asked(&self) -> Vec<&Case> {
        self.cases.iter().filter(|case| case.prompt.is_some()).collect()
    }

    /// The tokens before the end of the sequence, and why the answer ended.
    fn expected(&self, case: &Case) -> (Vec<u32>, FinishReason) {
        match case.output_ids.split_last() {
            Some((last, before)) if self.eos_token_ids.contains(last) => {
                (before.to_vec(), FinishReason::Stop)
            }
            Some(_) | None => (case.output_ids.clone(), FinishReason::Length),
        }
    }
}

fn all_packages() -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(packages())
        .expect("tests/testdata/parity is part of the repository")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("golden.json").is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty(), "there are packages");
    found
}

/// Runs a check over every package, as it is and from its faster copy, and reports all that fail.
fn for_every_package(check: impl Fn(&LoadOptions, &Golden) -> Result<(), String>) {
    let cache = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    let mut copies = 0;
    for package in all_packages() {
        let name = package.file_name().unwrap().to_string_lossy().into_owned();
        let golden = Golden::read(&package);
        let mut fail = |how: &str, reason: String| failures.push(format!("{name} {how}: {reason}"));
        let original = options(&package);
        check(&original, &golden).unwrap_or_else(|reason| fail("as it is", reason));
        // Products of quantized weights take activations of 8 bits, which the reference did not.
        if is_quantized(&package) {
            continue;
        }
        let made = prepack(&original, &name, cache.path()).unwrap();
        copies += usize::from(made.join("rewritten.json").is_file());
        let copied = LoadOptions {
            prepacked_directory: Some(cache.path().to_owned()),
            ..original
        };
        check(&copied, &golden).unwrap_or_else(|reason| fail("from its copy", reason));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(
        copies > 10 || kernels_are_portable(),
        "only {copies} graphs were rewritten"
    );
}

/// Whether the variant that is chosen has weights of a few bits.
fn is_quantized(package: &Path) -> bool {
    let variant = airunner_runtimes::package::inspect(package)
        .unwrap()
        .variants
        .remove(0);
    let graph = std::fs::read(package.join(variant)).unwrap();
    let is_in = |wanted: &[u8]| graph.windows(wanted.len()).any(|window| window == wanted);
    is_in(b"MatMulNBits") || is_in(b"DequantizeLinear")
}

/// On processors for which nothing faster is written, graphs stay as they are.
fn kernels_are_portable() -> bool {
    airunner_kernels::Isa::best() == airunner_kernels::Isa::Portable
}

fn compare(golden: &Golden, case: &Case, answer: &Answer) -> Result<(), String> {
    let (tokens, reason) = golden.expected(case);
    let done = answer.done();
    if done.usage.prompt_tokens as usize != case.prompt_ids.len() {
        return Err(format!(
            "{:?} has {} tokens",
            case.prompt, done.usage.prompt_tokens
        ));
    }
    if (&answer.tokens, done.finish_reason) != (&tokens, reason) {
        return Err(format!(
            "{:?} gives {:?} {:?} instead of {tokens:?} {reason:?}",
            case.prompt, answer.tokens, done.finish_reason
        ));
    }
    Ok(())
}

fn ask_case(model: &dyn LlmRuntime, golden: &Golden, case: &Case) -> Result<Answer, String> {
    let request = greedy(case.prompt.as_deref().unwrap(), Some(golden.max_new_tokens));
    let answer = ask(model, request).map_err(|fault| fault.to_string())?;
    compare(golden, case, &answer)?;
    Ok(answer)
}

#[test]
fn alone_every_package_says_what_the_reference_says() {
    for_every_package(|options, golden| {
        let model = load(options).map_err(|fault| fault.to_string())?;
        golden
            .asked()
            .iter()
            .try_for_each(|case| ask_case(&*model, golden, case).map(drop))
    });
}

#[test]
fn eight_at_once_say_the_same() {
    for_every_package(|options, golden| {
        let model = load(options).map_err(|fault| fault.to_string())?;
        let cases: Vec<&Case> = golden.asked().into_iter().cycle().take(8).collect();
        let receivers: Vec<_> = cases
            .iter()
            .map(|case| {
                let request = greedy(case.prompt.as_deref().unwrap(), Some(golden.max_new_tokens));
                model.generate(request, Instant::now()).unwrap()
            })
            .collect();
        for (case, receiver) in cases.iter().zip(receivers) {
            compare(golden, case, &read(receiver).map_err(|fault| fault.to_string())?)?;
        }
        Ok(())
    });
}

#[test]
fn prompts_in_small_pieces_give_the_same() {
    for_every_package(|options, golden| {
        let mut options = options.clone();
        options.prompt_chunk = 7;
        let model = load(&options).map_err(|fault| fault.to_string())?;
        golden
            .asked()
            .iter()
            .try_for_each(|case| ask_case(&*model, golden, case).map(drop))
    });
}

#[test]
fn a_reused_beginning_gives_the_same() {
    for_every_package(|options, golden| {
        let mut options = options.clone();
        options.parallel_requests = 1;
        let model = load(&options).map_err(|fault| fault.to_string())?;
        let cases = golden.asked();
        let case = cases.iter().max_by_key(|case| case.prompt_ids.len()).unwrap();
        ask_case(&*model, golden, case)?;
        let again = ask_case(&*model, golden, case)?;
        let keeps = model.loaded().warnings.is_empty();
        let cached = again.done().usage.cached_tokens as usize;
        let expected = if keeps { case.prompt_ids.len() - 1 } else { 0 };
        if cached != expected {
            return Err(format!("{cached} of {} tokens cached", case.prompt_ids.len()));
        }
        let Some(GenerateEvent::Prompt { cached_tokens, .. }) = again.events.first() else {
            return Err(format!("begins with {:?}", again.events.first()));
        };
        if *cached_tokens as usize != expected {
            return Err(format!("{cached_tokens} reported as cached"));
        }
        Ok(())
    });
}

#[test]
fn a_batch_that_changes_all_the_time_says_the_same() {
    for_every_package(|options, golden| {
        let mut options = options.clone();
        (options.parallel_requests, options.prompt_chunk) = (3, 5);
        let model = load(&options).map_err(|fault| fault.to_string())?;
        let cases = golden.asked();
        let request = |case: &Case, most| {
            model
                .generate(
                    greedy(case.prompt.as_deref().unwrap(), Some(most)),
                    Instant::now(),
                )
                .unwrap()
        };
        // Between those that are compared, others come that end early or lose their readers.
        let kept: Vec<_> = cases
            .iter()
            .cycle()
            .take(12)
            .enumerate()
            .map(|(number, case)| {
                drop(request(cases[number % cases.len()], golden.max_new_tokens));
                let mut left = request(cases[(number + 1) % cases.len()], golden.max_new_tokens);
                if number % 3 == 0 {
                    left.blocking_recv().unwrap().unwrap();
                }
                (
                    *case,
                    request(case, golden.max_new_tokens),
                    request(cases[number % cases.len()], 3),
                )
            })
            .collect();
        for (case, receiver, short) in kept {
            compare(golden, case, &read(receiver).map_err(|fault| fault.to_string())?)?;
            read(short).map_err(|fault| fault.to_string())?;
        }
        Ok(())
    });
}
