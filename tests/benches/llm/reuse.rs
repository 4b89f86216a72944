//! What has been computed once and is not computed again.

use std::time::Instant;

use airunner_tests::bench::{Figure, median, prompt};
use anyhow::ensure;

use crate::Bench;
use crate::ours::Ours;

const CHAT: usize = 2000;
const SYSTEM: usize = 1000;
/// Of one request beyond what all have.
const QUESTION: usize = 20;
const ANSWER: u32 = 8;

pub(crate) async fn measure(bench: &Bench, ours: &Ours) -> anyhow::Result<Vec<Figure>> {
    // Loads the model.
    ours.ask(prompt(32, 3), 4, 3).await?;
    Ok(vec![
        next_turn(bench, ours).await?,
        shared(bench, ours, Order::InTurn).await?,
        shared(bench, ours, Order::AtOnce).await?,
    ])
}

/// Time to first token of the turn after 2,000 tokens, against reading them.
async fn next_turn(bench: &Bench, ours: &Ours) -> anyhow::Result<Figure> {
    let (mut ratios, mut times, mut cached) = (Vec::new(), (Vec::new(), Vec::new()), 0);
    for round in 1..=bench.rounds as u64 {
        let opening = prompt(CHAT, 700_000 + round);
        let first = ours.ask(opening.clone(), 32, round).await?;
        ensure!(first.done.usage.cached_tokens == 0, "the first turn was not new");
        let turn = format!("{opening}{}{}", first.text, prompt(QUESTION, 900_000 + round));
        let second = ours.ask(turn, ANSWER, round).await?;
        cached = second.done.usage.cached_tokens;
        let cold = (first.first() - first.begin).as_secs_f64();
        let warm = (second.first() - second.begin).as_secs_f64();
        ratios.push(warm / cold);
        times.0.push(warm);
        times.1.push(cold);
    }
    let measured = format!(
        "{:.3} ({:.3} against {:.1} s, {cached} tokens from the cache)",
        median(ratios),
        median(times.0),
        median(times.1)
    );
    Ok(Figure::new(
        "next turn of a 2,000-token chat: time to first token against computing it anew",
        "at most 0.05",
        measured,
    ))
}

/// How several requests come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    InTurn,
    AtOnce,
}

/// Requests with the same 1,000 tokens before them, against requests with different ones.
async fn shared(bench: &Bench, ours: &Ours, order: Order) -> anyhow::Result<Figure> {
    let requests: u64 = if bench.quick { 4 } else { 20 };
    let (mut ratios, mut times) = (Vec::new(), (Vec::new(), Vec::new()));
    for round in 1..=bench.rounds as u64 {
        let base = 10_000_000 * round + if order == Order::AtOnce { 1_000_000 } else { 0 };
        let with = |system: u64, request: u64| {
            format!(
                "{}{}",
                prompt(SYSTEM, system),
                prompt(QUESTION, base + 50_000 + request)
            )
        };
        let same = (0..requests).map(|request| with(base + 1, request)).collect();
        let different = (0..requests)
            .map(|request| with(base + 1000 + request, request))
            .collect();
        let shared = total(ours, same, order).await?;
        let alone = total(ours, different, order).await?;
        ratios.push(shared / alone);
        times.0.push(shared);
        times.1.push(alone);
        eprintln!("measured: shared beginnings, round {round} of {}", bench.rounds);
    }
    let how = match order {
        Order::InTurn => "one after the other",
        Order::AtOnce => "all at once",
    };
    Ok(Figure::new(
        format!(
            "{requests} requests with the same 1,000 tokens of system prompt, {how}: total time against no sharing"
        ),
        "at most 0.25",
        format!(
            "{:.3} ({:.1} against {:.1} s)",
            median(ratios),
            median(times.0),
            median(times.1)
        ),
    ))
}

/// Seconds until all are answered.
async fn total(ours: &Ours, prompts: Vec<String>, order: Order) -> anyhow::Result<f64> {
    let begin = Instant::now();
    match order {
        Order::InTurn => {
            for prompt in prompts {
                ours.ask(prompt, ANSWER, 1).await?;
            }
        }
        Order::AtOnce => {
            let asking = prompts.into_iter().map(|prompt| ours.ask(prompt, ANSWER, 1));
            futures_util::future::try_join_all(asking).await?;
        }
    }
    Ok(begin.elapsed().as_secs_f64())
}
