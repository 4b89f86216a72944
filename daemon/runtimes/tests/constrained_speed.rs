//! How fast a model decodes when it is held to a schema, against decoding freely.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    dead_code,
    clippy::allow_attributes,
    reason = "a measurement for a person, which shares its set-up with tests"
)]

mod support;

use std::path::PathBuf;

use airunner_core::generate::OutputFormat;
use airunner_runtimes::LlmRuntime;
use serde_json::json;

use support::{ask, greedy, load, options};

const TOKENS: u32 = 96;
const ROUNDS: usize = 5;

/// Tokens per second of one answer, which is as long as the other's.
fn speed(model: &dyn LlmRuntime, format: OutputFormat) -> f64 {
    let mut request = greedy("Some numbers and words:", Some(TOKENS));
    request.sampling.temperature = Some(0.8);
    request.sampling.seed = Some(7);
    request.top_logprobs = None;
    request.format = format;
    ask(model, request).unwrap().done().timings.tokens_per_second
}

/// `AIRUNNER_BENCH_PACKAGE` names a package; run with `--release -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn a_schema_costs_at_most_a_tenth_of_the_speed() {
    let package = PathBuf::from(
        std::env::var_os("AIRUNNER_BENCH_PACKAGE").expect("AIRUNNER_BENCH_PACKAGE names a package"),
    );
    let mut options = options(&package);
    options.threads = None;
    options.parallel_requests = 1;
    let model = load(&options).unwrap();
    let schema = json!({"type": "array", "minItems": 200, "items": {"type": "object",
        "required": ["word", "number", "right", "more"], "additionalProperties": false, "properties": {
            "word": {"type": "string", "maxLength": 40}, "number": {"type": "integer"},
            "right": {"type": "boolean"}, "more": {"type": "array", "items": {"type": "number"}, "maxItems": 4}}}});
    let held = || OutputFormat::JsonSchema(schema.clone());
    // The vocabulary is read for the first request of this kind.
    speed(&*model, held());
    let mut ratios: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (free, held) = (speed(&*model, OutputFormat::Text), speed(&*model, held()));
            println!(
                "free {free:.2} tokens/s, held {held:.2} tokens/s: {:.3}",
                held / free
            );
            held / free
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let middle = ratios[ROUNDS / 2];
    println!("median {middle:.3}");
    assert!(middle >= 0.9, "{middle}");
}
