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

const TOKENS: u32 = 24;
/// Short answers by turns, so that what else the machine does meets both.
const ROUNDS: usize = 15;

/// Tokens per second of one answer, which is as long as the other's, and the processor's seconds
/// that it took.
fn speed(model: &dyn LlmRuntime, format: OutputFormat) -> (f64, f64) {
    let mut request = greedy("Some numbers and words:", Some(TOKENS));
    request.sampling.temperature = Some(0.8);
    request.sampling.seed = Some(7);
    request.top_logprobs = None;
    request.format = format;
    let before = processor_seconds();
    let answer = ask(model, request).unwrap();
    let taken = processor_seconds() - before;
    let done = answer.done();
    (
        done.timings.tokens_per_second,
        taken / f64::from(done.usage.completion_tokens),
    )
}

/// Of this process, where Linux tells; on a busy machine it says more than the clock.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = behind_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
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
    let (mut free, mut held_ones) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        free.push(speed(&*model, OutputFormat::Text));
        held_ones.push(speed(&*model, held()));
    }
    let middle = |of: &[(f64, f64)], which: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<f64> = of.iter().map(which).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let speeds = (middle(&free, |one| one.0), middle(&held_ones, |one| one.0));
    let times = (middle(&free, |one| one.1), middle(&held_ones, |one| one.1));
    let ratio = speeds.1 / speeds.0;
    println!(
        "free {:.2} tokens/s, held {:.2} tokens/s: {ratio:.3}; processor time per token {:.1} ms and {:.1} ms",
        speeds.0,
        speeds.1,
        times.0 * 1e3,
        times.1 * 1e3
    );
    assert!(ratio >= 0.9, "{ratio}");
}
