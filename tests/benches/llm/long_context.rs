//! Decoding at the end of a long context.

use airunner_tests::bench::{Figure, Timed, median, prompt, ratio};

use anyhow::ensure;

use crate::Bench;
use crate::ours::Ours;

const CONTEXT: u32 = 8192;
const DECODE: u32 = 64;
const SHORT_PROMPT: usize = 32;

pub(crate) async fn measure(bench: &Bench, ours: &Ours) -> anyhow::Result<Vec<Figure>> {
    let (_, instance) = ours.load().await?;
    let context = CONTEXT;
    ensure!(
        instance.context_length >= context,
        "the model has a context of {} tokens only",
        instance.context_length
    );
    let long = prompt((context - DECODE) as usize, 4_000_000);
    // Read once; every round finds it in the cache but for its last tokens.
    ours.ask(long.clone(), 1, 1).await?;
    let (mut end, mut start) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds as u64 {
        end.push(speed(&ours.ask(long.clone(), DECODE, round).await?));
        let short = prompt(SHORT_PROMPT, 4_100_000 + round);
        start.push(speed(&ours.ask(short, DECODE, round).await?));
    }
    let measured = format!(
        "{:.2} ({:.1} against {:.1} tokens/s)",
        ratio(&end, &start),
        median(end.clone()),
        median(start)
    );
    Ok(vec![Figure::new(
        format!("decode at the end of a context of {context} tokens against its start"),
        "at least 0.6",
        measured,
    )])
}

/// Tokens per second after the first.
fn speed(timed: &Timed) -> f64 {
    (timed.pieces.len() - 1) as f64 / (timed.last() - timed.first()).as_secs_f64()
}
