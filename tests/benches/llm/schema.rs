//! Decoding that is held to a JSON schema.

use airunner_core::generate::OutputFormat;
use airunner_tests::bench::{Figure, answer, median, prompt, ratio};
use serde_json::json;

use crate::Bench;
use crate::ours::Ours;

const PROMPT: usize = 32;
const DECODE: u32 = 64;

/// Held and free by turns, so that what else the machine does meets both.
pub(crate) async fn measure(bench: &Bench, ours: &Ours) -> anyhow::Result<Vec<Figure>> {
    // The vocabulary is read for the first request of this kind.
    speed(ours, schema(), 5_000_000).await?;
    let (mut held, mut free) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds as u64 {
        held.push(speed(ours, schema(), 5_000_000 + round).await?);
        free.push(speed(ours, OutputFormat::Text, 5_100_000 + round).await?);
    }
    let measured = format!(
        "{:.3} ({:.2} against {:.2} tokens/s)",
        ratio(&held, &free),
        median(held.clone()),
        median(free)
    );
    Ok(vec![Figure::new(
        "decoding held to a JSON schema against free decoding",
        "at least 0.9",
        measured,
    )])
}

/// Longer than any answer here.
fn schema() -> OutputFormat {
    OutputFormat::JsonSchema(
        json!({"type": "array", "minItems": 200, "items": {"type": "object",
        "required": ["word", "number", "right", "more"], "additionalProperties": false, "properties": {
            "word": {"type": "string", "maxLength": 40}, "number": {"type": "integer"},
            "right": {"type": "boolean"}, "more": {"type": "array", "items": {"type": "number"}, "maxItems": 4}}}}),
    )
}

async fn speed(ours: &Ours, format: OutputFormat, seed: u64) -> anyhow::Result<f64> {
    let mut request = ours.request(prompt(PROMPT, seed), DECODE, seed);
    request.format = format;
    Ok(answer(&ours.client, request)
        .await?
        .done
        .timings
        .tokens_per_second)
}
