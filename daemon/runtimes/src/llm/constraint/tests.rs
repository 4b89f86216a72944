//! Random models held to formats: whatever they would say, the answer keeps to it.
#![expect(
    clippy::unwrap_in_result,
    reason = "set-up of tests, beside the result under test"
)]

use std::path::Path;

use airunner_core::chat::{Conversation, Message, Tool};
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input, OutputFormat, Sampling, ToolChoice};
use airunner_core::{ErrorKind, Fault, ModelName};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};

use super::Constraints;
use crate::llm::sampling::Sampler;
use crate::llm::text::{Prompt, TextModel};

mod calls;

struct Bench {
    text: TextModel,
    constraints: Constraints,
}

/// A package whose tokens are bytes (`llama-gqa`) or words with marks and spelled bytes (`gemma-hf`).
fn bench(package: &str) -> Bench {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/testdata/parity")
        .join(package);
    let text = TextModel::load(&directory, &[]).unwrap();
    let constraints = Constraints::new(&text);
    Bench { text, constraints }
}

/// A package that thinks, with its marks as tokens.
fn thinking_bench(template: &str) -> (tempfile::TempDir, Bench) {
    templated_bench(template, &["<think>", "</think>"], false)
}

/// A package with a chat template and further tokens.
fn templated_bench(template: &str, marks: &[&str], are_special: bool) -> (tempfile::TempDir, Bench) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/parity/llama-gqa");
    let home = tempfile::tempdir().unwrap();
    let text = std::fs::read(from.join("tokenizer.json")).unwrap();
    let mut tokenizer: Value = serde_json::from_slice(&text).unwrap();
    let added = tokenizer["added_tokens"].as_array_mut().unwrap();
    let last = added
        .iter()
        .filter_map(|token| token["id"].as_u64())
        .max()
        .unwrap();
    for (id, mark) in (last.max(375) + 1..).zip(marks) {
        added.push(
            json!({"id": id, "content": mark, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": are_special}),
        );
    }
    std::fs::write(home.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(from.join("tokenizer_config.json")).unwrap()).unwrap();
    config["chat_template"] = template.into();
    std::fs::write(home.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let text = TextModel::load(home.path(), &[]).unwrap();
    let constraints = Constraints::new(&text);
    (home, Bench { text, constraints })
}

#[derive(Debug, Default)]
struct Answer {
    text: String,
    reasoning: String,
    /// Names and arguments.
    calls: Vec<(String, String)>,
    ended: bool,
}

impl Bench {
    fn request(format: OutputFormat, input: Input) -> GenerateRequest {
        let mut request = GenerateRequest::new(ModelName::new("x").unwrap(), input);
        request.format = format;
        request
    }

    /// What a model with random logits answers, `wishes` being texts it writes where it may.
    fn answer(
        &self,
        request: &GenerateRequest,
        seed: u64,
        limit: usize,
        wishes: &str,
    ) -> Result<Answer, Fault> {
        let prompt: Prompt = self.text.prompt(&request.input, 4096)?;
        let mut constraint = self
            .constraints
            .for_request(&self.text, request, &prompt)?
            .unwrap();
        let mut output = self.text.output(request, &prompt, 1);
        let sampling = Sampling {
            temperature: Some(1.0),
            seed: Some(seed),
            ..Sampling::default()
        };
        let mut sampler = Sampler::new(&sampling, None, 0, &[]);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut wished = self.text.tokenize(wishes, false).unwrap().into_iter();
        let size = self.text.tokenizer().vocabulary_size() + 8;
        let mut answer = Answer::default();
        for _ in 0..limit {
            let mut row: Vec<f32> = (0..size)
                .map(|_| (random.next_u32() % 1000) as f32 / 250.0)
                .collect();
            // Brackets and quotes, so that most answers come to an end.
            for mark in ["\"", "}", "]", "<eos>"] {
                if let Some(token) = self.text.tokenizer().token_to_id(mark) {
                    row[token as usize] += 4.0;
                }
            }
            if let Some(token) = wished.next() {
                row[token as usize] += 1e6;
            }
            let allowed = constraint.allowed()?;
            let restrict = |row: &mut [f32]| allowed.apply(row);
            let sampled = sampler.sample_within(&row, Some(&restrict)).unwrap();
            let is_complete = constraint.accept(sampled.token)?;
            answer.take(output.push(&sampled));
            if is_complete || output.stopped() {
                answer.ended = true;
                break;
            }
        }
        answer.take(output.finish());
        Ok(answer)
    }

    fn compiles(&self, format: OutputFormat) -> Result<(), Fault> {
        let request = Self::request(format, Input::Raw("a".to_owned()));
        let prompt = self.text.prompt(&request.input, 100)?;
        self.constraints
            .for_request(&self.text, &request, &prompt)
            .map(drop)
    }
}

impl Answer {
    fn take(&mut self, events: Vec<GenerateEvent>) {
        for event in events {
            if let GenerateEvent::Text(delta) = event {
                self.text.push_str(&delta.text);
            } else if let GenerateEvent::Reasoning(delta) = event {
                self.reasoning.push_str(&delta.text);
            } else if let GenerateEvent::ToolCall(call) = event {
                if let Some(name) = call.name {
                    self.calls.push((name, String::new()));
                }
                self.calls.last_mut().unwrap().1.push_str(&call.arguments);
            }
        }
    }
}

fn raw() -> Input {
    Input::Raw("a".to_owned())
}

fn chat(message: Option<&str>) -> Input {
    let mut messages = vec![Message::new("user", "Hi")];
    messages.extend(message.map(|begun| Message::new("assistant", begun)));
    Input::Conversation(Conversation {
        messages,
        continues: message.is_some(),
        ..Conversation::default()
    })
}

type Holds = fn(&Value) -> bool;

/// Schemas, and what holds of every value they allow.
fn schemas() -> Vec<(Value, Holds)> {
    vec![
        (
            json!({"type": "object", "required": ["name", "age"], "additionalProperties": false,
                "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 0, "maximum": 150}}}),
            |value| {
                let object = value.as_object().unwrap();
                object.len() == 2
                    && object["name"].as_str().unwrap().chars().count() <= 8
                    && object["age"].as_u64().unwrap() <= 150
            },
        ),
        (
            json!({"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/part"},
                "$defs": {"part": {"enum": ["red", "green", 7, null]}}}),
            |value| {
                let known = [json!("red"), json!("green"), json!(7), json!(null)];
                let list = value.as_array().unwrap();
                (1..=3).contains(&list.len()) && list.iter().all(|item| known.contains(item))
            },
        ),
        (
            json!({"anyOf": [{"type": "boolean"}, {"type": "object", "properties": {"x": {"const": 1}},
                "required": ["x"], "additionalProperties": false}]}),
            |value| value.is_boolean() || *value == json!({"x": 1}),
        ),
        (json!({"type": "string", "pattern": "^[a-c]{2,4}$"}), |value| {
            let text = value.as_str().unwrap();
            (2..=4).contains(&text.len()) && text.chars().all(|letter| ('a'..='c').contains(&letter))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_ends_is_what_the_schema_allows_and_what_is_cut_off_is_its_beginning(
        seed in any::<u64>(), which in 0..4_usize, limit in 1..300_usize, words in any::<bool>(),
    ) {
        let bench = bench(if words { "gemma-hf" } else { "llama-gqa" });
        let (schema, holds) = schemas().swap_remove(which);
        let request = Bench::request(OutputFormat::JsonSchema(schema), raw());
        let answer = bench.answer(&request, seed, limit, "").unwrap();
        match serde_json::from_str::<Value>(&answer.text) {
            Ok(value) => prop_assert!(holds(&value) || !answer.ended, "{}", answer.text),
            Err(error) => prop_assert!(error.is_eof() && !answer.ended, "{}: {error}", answer.text),
        }
    }

    #[test]
    fn an_expression_is_matched_as_a_whole(seed in any::<u64>()) {
        let bench = bench("llama-gqa");
        let request = Bench::request(OutputFormat::Regex("^(ab|c/d\\n)+ [0-9]{2}$".to_owned()), raw());
        let answer = bench.answer(&request, seed, 400, "").unwrap();
        if answer.ended {
            let (words, digits) = answer.text.rsplit_once(' ').unwrap();
            prop_assert!(digits.len() == 2 && digits.chars().all(|digit| digit.is_ascii_digit()));
            prop_assert_eq!(words.replace("ab", "").replace("c/d\n", ""), "");
        }
    }
}

#[test]
fn any_object_is_one() {
    let bench = bench("llama-gqa");
    for seed in 0..20 {
        let answer = bench
            .answer(&Bench::request(OutputFormat::JsonObject, raw()), seed, 200, "")
            .unwrap();
        if answer.ended {
            assert!(
                serde_json::from_str::<Value>(&answer.text).unwrap().is_object(),
                "{}",
                answer.text
            );
        } else {
            assert!(answer.text.trim_start().starts_with('{') || answer.text.trim().is_empty());
        }
    }
}

const OPENED: &str = "{% for m in messages %}{{ m.content }}{% endfor %}<think>";
const FREE: &str = "{% for m in messages %}{{ m.content }}{% endfor %}{# <think> #}";

#[test]
fn reasoning_stays_free() {
    let colour = || OutputFormat::JsonSchema(json!({"enum": ["red", "green"]}));
    for (template, wishes, reasoning) in [
        (OPENED, "well, blue?</think>blue", "well, blue?"),
        (FREE, "<think>or blue</think>\nblue", "or blue"),
        (FREE, "blue", ""),
    ] {
        let (_home, bench) = thinking_bench(template);
        let request = Bench::request(colour(), chat(None));
        let answer = bench.answer(&request, 3, 200, wishes).unwrap();
        assert!(answer.ended, "{wishes}: {answer:?}");
        assert_eq!(answer.reasoning, reasoning, "{wishes}");
        let value: Value = serde_json::from_str(&answer.text).unwrap();
        assert!(value == "red" || value == "green", "{value}");
    }
}

#[test]
fn in_channels_the_final_one_is_held() {
    let (_home, bench) = templated_bench(
        "{{ messages }}{# <|channel|><|message|> #}",
        &["<|channel|>", "<|message|>", "<|end|>"],
        true,
    );
    let request = Bench::request(OutputFormat::JsonSchema(json!({"enum": ["red"]})), chat(None));
    let wishes =
        "<|channel|>analysis<|message|>Blue!<|end|><|start|>assistant<|channel|>final<|message|>blue";
    let answer = bench.answer(&request, 1, 200, wishes).unwrap();
    assert!(answer.ended, "{answer:?}");
    assert_eq!(answer.reasoning, "Blue!");
    assert_eq!(serde_json::from_str::<Value>(&answer.text).unwrap(), "red");
}

#[test]
fn a_beginning_of_the_answer_counts() {
    let (_home, bench) = thinking_bench(FREE);
    let schema = || {
        OutputFormat::JsonSchema(json!({"type": "object", "required": ["x"],
        "additionalProperties": false, "properties": {"x": {"enum": [1, 2]}}}))
    };
    let answer = bench
        .answer(&Bench::request(schema(), chat(Some("{\"x\""))), 1, 100, "")
        .unwrap();
    let whole: Value = serde_json::from_str(&format!("{{\"x\"{}", answer.text)).unwrap();
    assert!(whole == json!({"x": 1}) || whole == json!({"x": 2}), "{whole}");
    let fault = bench
        .answer(&Bench::request(schema(), chat(Some("The answer"))), 1, 100, "")
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
    assert!(fault.message.contains("beginning"), "{fault}");
}

#[test]
fn what_cannot_be_followed_is_refused_with_the_reason() {
    let bench = bench("llama-gqa");
    let schema = |value: Value| OutputFormat::JsonSchema(value);
    for (word, format) in [
        ("/nowhere", schema(json!({"$ref": "#/nowhere"}))),
        ("http", schema(json!({"$ref": "http://example.com/schema.json"}))),
        ("type", schema(json!({"type": "colour"}))),
        ("format", OutputFormat::Regex("a(".to_owned())),
        ("format", OutputFormat::Regex("(a)\\1".to_owned())),
        ("format", schema(json!(false))),
    ] {
        let fault = bench.compiles(format.clone()).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{format:?}");
        assert!(fault.message.contains(word), "{format:?}: {fault}");
    }
}

fn tools() -> Vec<Tool> {
    let tool = |name: &str, parameters: Value| Tool {
        name: name.to_owned(),
        description: String::new(),
        parameters,
    };
    vec![
        tool(
            "add",
            json!({"type": "object", "required": ["a"], "additionalProperties": false,
                "properties": {"a": {"$ref": "#/$defs/small"}, "b": {"type": "string", "maxLength": 5}},
                "$defs": {"small": {"enum": [1, 2]}}}),
        ),
        tool(
            "now",
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
    ]
}

/// A conversation with tools.
fn asking(choice: ToolChoice, parallel: bool) -> GenerateRequest {
    let Input::Conversation(mut conversation) = chat(None) else {
        unreachable!("a chat is a conversation")
    };
    conversation.tools = tools();
    let mut request = Bench::request(OutputFormat::Text, Input::Conversation(conversation));
    (request.tool_choice, request.parallel_tool_calls) = (choice, parallel);
    request
}

fn are_valid(calls: &[(String, String)]) -> bool {
    calls.iter().all(|(name, arguments)| {
        let Ok(Value::Object(arguments)) = serde_json::from_str::<Value>(arguments) else {
            return false;
        };
        match name.as_str() {
            "now" => arguments.is_empty(),
            "add" => {
                arguments.keys().all(|key| key == "a" || key == "b")
                    && (arguments["a"] == 1 || arguments["a"] == 2)
            }
            _ => false,
        }
    })
}

/// What templates write, and what begins a call in each.
const FAMILIES: [(&str, &str); 14] = [
    ("<tool_call>", "<tool_call>"),
    ("<tool_call><function=", "<tool_call>"),
    ("[TOOL_CALLS]", "[TOOL_CALLS]"),
    ("[TOOL_CALLS][ARGS]", "[TOOL_CALLS]"),
    ("<|python_tag|>", ""),
    ("<|tool_call|><|/tool_call|>", "<|tool_call|>"),
    ("<|tool_call|>", "<|tool_call|>"),
    ("functools[", "functools"),
    ("<|START_ACTION|>", "<|START_ACTION|>"),
    ("<｜tool▁call▁begin｜>```json", "<｜tool▁call▁begin｜>"),
    ("<|tool_call_begin|>", "<|tool_call_begin|>"),
    ("<|tool_call_start|>", "<|tool_call_start|>"),
    ("<function_calls>", "<function_calls>"),
    ("<|channel|><|message|>", "<|channel|>commentary to=functions."),
];

#[test]
fn forced_calls_are_calls_of_the_tools() {
    let mut several = false;
    for (signs, open) in FAMILIES {
        let template = format!("{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}{{# {signs} #}}");
        let marks = [
            "<tool_call>",
            "</tool_call>",
            "[ARGS]",
            "<|message|>",
            "<|tool_call_begin|>",
        ];
        let (_home, bench) = templated_bench(&template, &marks, true);
        let mut ended = 0;
        for seed in 0..8 {
            let parallel = seed % 2 == 0;
            let answer = bench
                .answer(&asking(ToolChoice::Required, parallel), seed, 400, "")
                .unwrap();
            if answer.ended {
                ended += 1;
                several |= answer.calls.len() > 1;
                assert!(
                    !answer.calls.is_empty() && are_valid(&answer.calls),
                    "{signs}: {answer:?}"
                );
                assert_eq!(answer.text.trim(), "", "{signs}: {answer:?}");
                assert!(parallel || answer.calls.len() == 1, "{signs}: {answer:?}");
            }
        }
        assert!(ended > 1, "{signs}: only {ended} ended");
        // Thoughts before it may be of any length.
        let wish = if open.starts_with("<|channel|>") { open } else { "" };
        let named = asking(ToolChoice::Function("now".to_owned()), false);
        let answer = bench.answer(&named, 1, 400, wish).unwrap();
        let names: Vec<&str> = answer.calls.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["now"], "{signs}: {answer:?}");
        assert!(are_valid(&answer.calls), "{signs}: {answer:?}");
    }
    assert!(several, "no family made several calls");
}

#[test]
fn a_call_that_has_begun_becomes_a_valid_one() {
    for (signs, open) in FAMILIES.into_iter().filter(|(_, open)| !open.is_empty()) {
        let template = format!("{{% for m in messages %}}{{{{ m.content }}}}{{% endfor %}}{{# {signs} #}}");
        let (_home, bench) = templated_bench(&template, &[], false);
        for seed in 0..4 {
            let answer = bench
                .answer(&asking(ToolChoice::Auto, false), seed, 400, open)
                .unwrap();
            if answer.ended {
                assert_eq!(answer.calls.len(), 1, "{signs}: {answer:?}");
                assert!(are_valid(&answer.calls), "{signs}: {answer:?}");
            }
        }
    }
}

#[test]
fn with_tools_a_format_or_a_call_is_kept_to() {
    let (_home, bench) = thinking_bench("{{ messages }}{# <tool_call> #}");
    let mut request = asking(ToolChoice::Auto, false);
    request.format = OutputFormat::JsonSchema(json!({"enum": ["red"]}));
    let free = bench.answer(&request, 1, 300, "\"red").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&free.text).unwrap(), "red");
    let called = bench.answer(&request, 1, 300, "<tool_call>").unwrap();
    assert!(called.calls.len() == 1 && are_valid(&called.calls), "{called:?}");
}

#[test]
fn calls_cannot_be_forced_where_nothing_says_how() {
    let (_home, bench) = thinking_bench("{{ messages }}");
    let fault = bench
        .answer(&asking(ToolChoice::Required, true), 1, 10, "")
        .unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
}

/// Each is either refused, or followed in bounded steps to its end or its refusal.
#[test]
fn hostile_formats_end() {
    let bench = bench("llama-gqa");
    let nested = (0..60).fold(
        json!({}),
        |inner, _| json!({"properties": {"a": inner}, "required": ["a"]}),
    );
    let too_deep = (0..200).fold(json!({}), |inner, _| json!({"items": inner}));
    let many: Vec<String> = (0..20_000).map(|number| format!("value {number}")).collect();
    let properties: serde_json::Map<String, Value> = (0..3000)
        .map(|number| (format!("p{number}"), json!({"type": "integer"})))
        .collect();
    let formats = [
        OutputFormat::JsonSchema(nested),
        OutputFormat::JsonSchema(too_deep),
        OutputFormat::JsonSchema(json!({"enum": many})),
        OutputFormat::JsonSchema(json!({"type": "object", "properties": properties})),
        OutputFormat::JsonSchema(json!({"type": "array", "minItems": 1_000_000_000, "items": {}})),
        OutputFormat::JsonSchema(json!({"type": "string", "minLength": 1_000_000_000})),
        OutputFormat::JsonSchema(json!({"$ref": "#"})),
        OutputFormat::JsonSchema(json!({"allOf": [{"$ref": "#"}]})),
        OutputFormat::JsonSchema(json!({"type": "string", "pattern": "(.*a){20}"})),
        OutputFormat::Regex("(a{1,1000}){1,1000}".to_owned()),
        OutputFormat::Regex("(a|b|ab)*(a|b|ba){500}c".to_owned()),
        OutputFormat::Regex("(.*)(.*)(.*)(.*)(.*)[^x]{200}y".to_owned()),
        OutputFormat::Regex("(".repeat(2000) + &")".repeat(2000)),
        OutputFormat::Regex("\\p{L}{0,5000}".to_owned()),
    ];
    for format in formats {
        let shown: String = format!("{format:?}").chars().take(80).collect();
        let request = Bench::request(format, raw());
        if let Err(fault) = bench.answer(&request, 5, 40, "") {
            assert_eq!(fault.kind, ErrorKind::InvalidArgument, "{shown}: {fault}");
            assert!(fault.message.len() < 600, "{shown}: {fault}");
        }
    }
}
