//! What a loaded package does beside being right: limits, seeds, damaged and hostile packages.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use airunner_core::ErrorKind;
use airunner_core::chat::{Conversation, Message, Tool};
use airunner_core::generate::{FinishReason, GenerateEvent, Input, OutputFormat, ToolChoice};
use airunner_core::memory::Quantization;
use airunner_runtimes::{LoadOptions, TokenizeInput, package};
use serde::Deserialize;
use support::{ask, greedy, load, options, packages, read};

const HF: &str = "llama-hf";
const GQA: &str = "llama-gqa";

/// A copy of a package that a test may spoil.
fn copy_of(name: &str) -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    let home = tempfile::tempdir().unwrap();
    copy(&packages().join(name), home.path());
    home
}

fn refused(directory: &Path) -> (ErrorKind, String) {
    let at_import = package::inspect(directory).unwrap_err();
    let at_load = load(&options(directory)).err().unwrap();
    assert_eq!(at_import, at_load, "both doors say the same");
    (at_load.kind, at_load.message)
}

#[test]
fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
    for name in [HF, GQA] {
        let mut options = options(&packages().join(name));
        options.context_length = Some(40);
        let model = load(&options).unwrap();
        assert_eq!(model.loaded().context_length, 40);
        let prompt = "x ".repeat(60);
        let fault = ask(&*model, greedy(&prompt, None)).unwrap_err();
        let text = TokenizeInput::Text {
            text: prompt,
            add_special_tokens: true,
        };
        let tokens = model.tokenize(&text).unwrap().len();
        assert_eq!(fault.kind, ErrorKind::ContextLengthExceeded);
        assert!(
            fault.message.contains("40") && fault.message.contains(&tokens.to_string()),
            "{fault}"
        );
    }
}

#[test]
fn an_answer_ends_where_the_context_does() {
    for name in [HF, GQA, "llama-hf-nocache"] {
        let mut options = options(&packages().join(name));
        options.context_length = Some(24);
        let model = load(&options).unwrap();
        let mut request = greedy("the batch as soon", Some(1000));
        request
            .sampling
            .logit_bias
            .extend([377, 381, 382].map(|end| (end, -100.0)));
        let answer = ask(&*model, request).unwrap();
        let done = answer.done();
        assert_eq!(done.finish_reason, FinishReason::Length);
        assert_eq!(done.usage.prompt_tokens + done.usage.completion_tokens, 24);
    }
}

#[test]
fn a_seed_alone_decides_a_sampled_answer() {
    let model = load(&options(&packages().join(GQA))).unwrap();
    let sampled = |seed| {
        let mut request = greedy("a fox", Some(24));
        request.sampling.temperature = Some(1.5);
        request.sampling.seed = Some(seed);
        ask(&*model, request).unwrap().tokens
    };
    assert_eq!(sampled(7), sampled(7));
    assert_ne!(sampled(7), sampled(8));
}

#[test]
fn a_second_turn_computes_only_what_is_new() {
    for name in [HF, GQA, "mistral-hf", "qwen3-gqa"] {
        let model = load(&options(&packages().join(name))).unwrap();
        let first = ask(&*model, greedy("the batch as soon", Some(8))).unwrap();
        let longer = format!("the batch as soon{}", "as they are done");
        let prompt_tokens = first.done().usage.prompt_tokens;
        let second = ask(&*model, greedy(&longer, Some(8))).unwrap();
        assert!(
            second.done().usage.cached_tokens + 1 >= prompt_tokens.min(4),
            "{name}: {second:?}"
        );
        let mut options = options(&packages().join(name));
        options.parallel_requests = 1;
        let fresh = load(&options).unwrap();
        assert_eq!(
            ask(&*fresh, greedy(&longer, Some(8))).unwrap().tokens,
            second.tokens,
            "{name}"
        );
    }
}

#[test]
fn progress_counts_the_prompt() {
    let mut options = options(&packages().join(HF));
    options.prompt_chunk = 4;
    let model = load(&options).unwrap();
    let answer = ask(&*model, greedy("the batch as soon as they are done.", Some(2))).unwrap();
    let progress: Vec<_> = answer
        .events
        .iter()
        .filter_map(|event| {
            let GenerateEvent::Prompt {
                processed_tokens,
                total_tokens,
                ..
            } = event
            else {
                return None;
            };
            Some((*processed_tokens, *total_tokens))
        })
        .collect();
    let total = answer.done().usage.prompt_tokens;
    assert_eq!(progress.first(), Some(&(0, total)));
    assert_eq!(progress.last(), Some(&(total, total)));
    assert!(
        progress
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[1].0 - pair[0].0 <= 4)
    );
}

#[test]
fn bad_requests_are_refused_before_any_work() {
    let model = load(&options(&packages().join(HF))).unwrap();
    let mut request = greedy("x", Some(0));
    assert_eq!(
        model.generate(request.clone(), Instant::now()).unwrap_err().kind,
        ErrorKind::InvalidArgument
    );
    request.max_tokens = None;
    request.input = Input::Raw(String::new());
    assert_eq!(
        model.generate(request.clone(), Instant::now()).unwrap_err().kind,
        ErrorKind::InvalidArgument
    );
    request.input = Input::Raw("long ".repeat(2_000_000));
    assert_eq!(
        model.generate(request, Instant::now()).unwrap_err().kind,
        ErrorKind::ContextLengthExceeded
    );
}

#[test]
fn logits_that_are_no_numbers_fail_the_request_and_nothing_else() {
    let package = copy_of(GQA);
    let weights = package.path().join("model.onnx.data");
    let size = fs::metadata(&weights).unwrap().len() as usize;
    fs::write(&weights, vec![0xff; size]).unwrap();
    let model = load(&options(package.path())).unwrap();
    for _ in 0..2 {
        let fault = ask(&*model, greedy("the", Some(4))).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ModelFaulty, "{fault}");
    }
}

#[test]
fn a_damaged_graph_is_refused() {
    let package = copy_of(HF);
    let graph = package.path().join("onnx/model.onnx");
    let whole = fs::read(&graph).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"garbage", b""] {
        fs::write(&graph, damaged).unwrap();
        let (kind, message) = refused(package.path());
        assert_eq!(kind, ErrorKind::ModelInvalid);
        assert!(message.contains("onnx/model.onnx"), "{message}");
    }
}

#[test]
fn short_weights_are_refused_with_the_figures() {
    let package = copy_of(HF);
    let weights = package.path().join("onnx/model.onnx_data");
    fs::OpenOptions::new()
        .write(true)
        .open(&weights)
        .unwrap()
        .set_len(1000)
        .unwrap();
    let (kind, message) = refused(package.path());
    assert_eq!(kind, ErrorKind::ModelInvalid);
    assert!(message.contains("which has 1000"), "{message}");
}

#[cfg(unix)]
#[test]
fn links_out_of_the_package_are_refused() {
    let package = copy_of(HF);
    let outside = tempfile::tempdir().unwrap();
    for file in [
        "onnx/model.onnx_data",
        "onnx/model.onnx",
        "tokenizer.json",
        "config.json",
    ] {
        let inside = package.path().join(file);
        let moved = outside.path().join(file.replace('/', "+"));
        fs::rename(&inside, &moved).unwrap();
        std::os::unix::fs::symlink(&moved, &inside).unwrap();
        let (kind, message) = refused(package.path());
        assert_eq!(kind, ErrorKind::ModelInvalid);
        assert!(
            message.contains("leaves the package") && message.contains(file),
            "{message}"
        );
        fs::remove_file(&inside).unwrap();
        fs::rename(&moved, &inside).unwrap();
    }
}

/// Replaces by something of the same length, so that the lengths around it stay right.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut changed = bytes.to_vec();
    let found: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from)
        .map(|(at, _)| at)
        .collect();
    assert!(!found.is_empty(), "something is replaced");
    found
        .into_iter()
        .for_each(|at| changed[at..at + to.len()].copy_from_slice(to));
    changed
}

#[test]
fn an_unknown_cache_layout_names_the_input() {
    let package = copy_of(HF);
    let graph = package.path().join("onnx/model.onnx");
    let bytes = fs::read(&graph).unwrap();
    fs::write(
        &graph,
        replaced(&bytes, b"past_key_values.0.key", b"past_conv_states.0.xy"),
    )
    .unwrap();
    let fault = load(&options(package.path())).err().unwrap();
    assert_eq!(fault.kind, ErrorKind::ModelIncompatible);
    assert!(fault.message.contains("past_conv_states.0.xy"), "{fault}");
}

#[test]
fn weights_outside_the_package_are_refused() {
    let package = copy_of(HF);
    let graph = package.path().join("onnx/model.onnx");
    let bytes = fs::read(&graph).unwrap();
    let changed = replaced(&bytes, b"model.onnx_data", b"../config.json_");
    fs::write(&graph, changed).unwrap();
    let (kind, message) = refused(package.path());
    assert_eq!(kind, ErrorKind::ModelInvalid);
    assert!(
        message.contains("not a relative path inside the package"),
        "{message}"
    );
}

#[test]
fn libraries_that_a_package_names_are_not_loaded() {
    let package = copy_of(GQA);
    let file = package.path().join("genai_config.json");
    let config = fs::read_to_string(&file).unwrap();
    let changed = config.replacen(
        "\"session_options\": {",
        "\"session_options\": {\"custom_ops_library\": \"x.so\",",
        1,
    );
    assert_ne!(config, changed);
    fs::write(&file, changed).unwrap();
    let model = load(&options(package.path())).unwrap();
    assert!(
        model
            .loaded()
            .warnings
            .iter()
            .any(|warning| warning.contains("x.so"))
    );
    assert!(ask(&*model, greedy("the", Some(2))).is_ok());
}

#[test]
fn a_wrong_library_is_named_with_what_to_do() {
    let mut options = options(&packages().join(HF));
    options.onnxruntime_library = "/nonexistent/libonnxruntime.so".into();
    let fault = load(&options).err().unwrap();
    assert_eq!(fault.kind, ErrorKind::RuntimeMissing);
    assert!(fault.message.contains("runtime.onnxruntime_library"), "{fault}");
}

#[test]
fn a_graph_without_a_cache_says_so() {
    let model = load(&options(&packages().join("llama-hf-nocache"))).unwrap();
    assert!(
        model
            .loaded()
            .warnings
            .iter()
            .any(|warning| warning.contains("no key/value cache"))
    );
}

#[test]
fn the_best_variant_for_this_machine_runs() {
    let model = load(&options(&packages().join("llama-hf-multi"))).unwrap();
    assert_eq!(model.loaded().variant, "onnx/model_q4.onnx");
}

#[derive(Deserialize)]
struct Story {
    prompt: String,
    greedy_ids: Vec<u32>,
}

#[test]
fn a_trained_model_tells_its_story() {
    let package: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/testdata/stories260K");
    let Ok(golden) = fs::read(package.join("golden.json")) else {
        eprintln!(
            "SKIPPED: no trained model beside the checkout ({})",
            package.display()
        );
        return;
    };
    let story: Story = serde_json::from_slice(&golden).unwrap();
    let model = load(&options(&package)).unwrap();
    let text = TokenizeInput::Text {
        text: story.prompt.clone(),
        add_special_tokens: true,
    };
    let prompt = model.tokenize(&text).unwrap();
    assert!(story.greedy_ids.starts_with(&prompt), "{prompt:?}");
    let expected = &story.greedy_ids[prompt.len()..];
    let count = expected.len() as u32;
    let answer = ask(&*model, greedy(&story.prompt, Some(count))).unwrap();
    assert_eq!(answer.tokens, expected[..answer.tokens.len()]);
    assert!(
        answer.tokens.len() + 1 >= expected.len(),
        "{} of {}",
        answer.tokens.len(),
        expected.len()
    );
}

#[test]
fn after_a_trim_everything_is_computed_anew_and_says_the_same() {
    for package in ["llama-gqa", "llama-hf", "llama-hf-nocache"] {
        let model = load(&options(&packages().join(package))).unwrap();
        let first = ask(&*model, greedy("a fox jumps over the dog", Some(8))).unwrap();
        model.trim().unwrap();
        let second = ask(&*model, greedy("a fox jumps over the dog", Some(8))).unwrap();
        assert_eq!(second.done().usage.cached_tokens, 0, "{package}");
        assert_eq!(first.tokens, second.tokens, "{package}");
    }
}

#[test]
fn a_variant_is_one_of_the_package_s_own() {
    let package = packages().join("llama-hf-multi");
    let with = |variant: &str| LoadOptions {
        variant: Some(variant.to_owned()),
        ..options(&package)
    };
    let model = load(&with("onnx/model_fp16.onnx")).unwrap();
    let loaded = model.loaded();
    assert_eq!(loaded.variant, "onnx/model_fp16.onnx");
    assert_eq!(loaded.level, Some(Quantization::Float16));
    for variant in ["onnx/model_q2.onnx", "../llama-gqa/model.onnx", ""] {
        let fault = load(&with(variant)).err().unwrap();
        assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{variant}: {fault}");
    }
}

/// In one batch: free answers, held ones, and one whose format no token can go on with.
#[test]
fn a_format_holds_its_own_answer_and_no_other() {
    let model = load(&options(&packages().join(GQA))).unwrap();
    let held = |format: OutputFormat| {
        let mut request = greedy("a fox", Some(60));
        request.format = format;
        request
    };
    let schema = || {
        OutputFormat::JsonSchema(serde_json::json!({"type": "object", "required": ["n"],
            "additionalProperties": false, "properties": {"n": {"enum": [1, 2]}}}))
    };
    let free = ask(&*model, greedy("a fox", Some(60))).unwrap();
    let requests = [
        greedy("a fox", Some(60)),
        held(schema()),
        held(OutputFormat::Regex("[ab]{3}".to_owned())),
        greedy("a fox", Some(60)),
        held(schema()),
    ];
    let readers: Vec<_> = requests
        .into_iter()
        .map(|request| model.generate(request, Instant::now()).unwrap())
        .collect();
    let answers: Vec<_> = readers.into_iter().map(|reader| read(reader).unwrap()).collect();
    for index in [0, 3] {
        assert_eq!(
            answers[index].tokens, free.tokens,
            "the free ones say what they say alone"
        );
    }
    for index in [1, 4] {
        let value: serde_json::Value = serde_json::from_str(&answers[index].text).unwrap();
        assert!(value["n"] == 1 || value["n"] == 2, "{value}");
        assert_eq!(answers[index].done().finish_reason, FinishReason::Stop);
    }
    let letters = &answers[2].text;
    assert!(
        letters.len() == 3 && letters.chars().all(|letter| "ab".contains(letter)),
        "{letters}"
    );
    let fault = model
        .generate(held(OutputFormat::Regex("a(".to_owned())), Instant::now())
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
}

/// Log-probabilities are the model's own, whatever the format leaves.
#[test]
fn a_held_answer_tells_the_model_s_own_log_probabilities() {
    let model = load(&options(&packages().join(GQA))).unwrap();
    let first = |format: OutputFormat| {
        let mut request = greedy("a fox", Some(1));
        request.top_logprobs = Some(3);
        request.format = format;
        let answer = ask(&*model, request).unwrap();
        let logprobs = answer.events.into_iter().find_map(|event| {
            if let GenerateEvent::Text(delta) = event {
                delta.logprobs.into_iter().next()
            } else {
                None
            }
        });
        logprobs.unwrap()
    };
    let (free, held) = (
        first(OutputFormat::Text),
        first(OutputFormat::Regex("[{]".to_owned())),
    );
    for (free, held) in free.top.iter().zip(&held.top) {
        // The second finds its prompt computed in another piece.
        assert_eq!(free.token_id, held.token_id);
        assert!((free.logprob - held.logprob).abs() < 1e-4);
    }
    assert_eq!(held.token, b"{");
}

/// A random model that has to call a tool calls it, as its own template writes calls.
#[test]
fn a_forced_call_is_told_in_pieces_and_as_the_reason() {
    let model = load(&options(&packages().join("qwen3-gqa"))).unwrap();
    let tool = Tool {
        name: "mix".to_owned(),
        description: "".to_owned(),
        parameters: serde_json::json!({"type": "object", "required": ["c"], "additionalProperties": false,
            "properties": {"c": {"enum": [1, 2]}}}),
    };
    let conversation = |tools| {
        Input::Conversation(Conversation {
            messages: vec![Message::new("user", "a fox")],
            tools,
            template_variables: serde_json::Map::from_iter([("enable_thinking".to_owned(), false.into())]),
            ..Conversation::default()
        })
    };
    let mut request = greedy("a fox", Some(120));
    request.input = conversation(vec![tool.clone()]);
    request.tool_choice = ToolChoice::Required;
    request.parallel_tool_calls = false;
    let answer = ask(&*model, request.clone()).unwrap();
    let (mut name, mut arguments) = (None, String::new());
    for event in &answer.events {
        if let GenerateEvent::ToolCall(delta) = event {
            name = name.or(delta.name.clone());
            arguments.push_str(&delta.arguments);
        }
    }
    assert_eq!(name.as_deref(), Some("mix"), "{:?}", answer.events);
    let chosen = &serde_json::from_str::<serde_json::Value>(&arguments).unwrap()["c"];
    assert!(chosen == 1 || chosen == 2, "{arguments}");
    assert_eq!(answer.done().finish_reason, FinishReason::ToolCalls);
    request.tool_choice = ToolChoice::None;
    let none = ask(&*model, request.clone()).unwrap();
    request.input = conversation(Vec::new());
    request.tool_choice = ToolChoice::Auto;
    let plain = ask(&*model, request).unwrap();
    assert_eq!(none.tokens, plain.tokens, "as if there were no tools");
}
