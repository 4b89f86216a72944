//! Turns of a conversation, and answers that are given up.

use std::time::{Duration, Instant};

use airunner_core::event::{Event, WatchPayload};
use airunner_core::generate::GenerateEvent;
use airunner_core::lifecycle::StateName;
use airunner_tests::bench::{Figure, answer, median, prompt, request};
use anyhow::{Context, ensure};

use crate::Bench;

/// Time to first token of the second turn of a conversation of 1,000 tokens, against the first's.
pub(crate) async fn second_turn(bench: &Bench) -> anyhow::Result<Figure> {
    let (mut ratios, mut cached) = (Vec::new(), 0);
    for round in 0..bench.rounds {
        let opening = prompt(1000, 7000 + round as u64);
        let first = answer(&bench.client, request(&bench.model, opening.clone(), 32)).await?;
        let follow_up = format!("{opening}{}{}", first.text, prompt(20, 9000 + round as u64));
        let second = answer(&bench.client, request(&bench.model, follow_up, 8)).await?;
        cached = second.done.usage.cached_tokens;
        ensure!(first.done.usage.cached_tokens == 0, "the first turn was not new");
        ratios.push(
            (second.first() - second.begin).as_secs_f64() / (first.first() - first.begin).as_secs_f64(),
        );
    }
    let measured = format!("{:.3} ({cached} tokens from the cache)", median(ratios));
    Ok(Figure::new(
        "second turn of a 1,000-token conversation: time to first token against the first turn",
        "at most 0.15",
        measured,
    ))
}

/// From dropping a request to LOADED, while it decodes and while it reads its prompt.
pub(crate) async fn cancel(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (when, tokens) in [
        ("while it decodes", 16),
        ("while it reads a prompt of 2,000 tokens", 2000),
    ] {
        let mut waits = Vec::new();
        for round in 0..bench.rounds {
            let seed = 20_000 + tokens as u64 + round as u64;
            waits.push(
                cancel_once(bench, prompt(tokens, seed), tokens < 100)
                    .await?
                    .as_secs_f64()
                    * 1e3,
            );
        }
        let worst = waits.iter().copied().fold(0.0, f64::max);
        let measured = format!("{:.0} ms (longest {worst:.0} ms)", median(waits));
        figures.push(Figure::new(
            format!("cancel {when} to LOADED again"),
            "one step, at most 300 ms",
            measured,
        ));
    }
    Ok(figures)
}

async fn cancel_once(bench: &Bench, prompt: String, decoding: bool) -> anyhow::Result<Duration> {
    let mut watch = bench.client.control().subscribe().await?;
    let mut events = bench
        .client
        .llm()
        .generate(request(&bench.model, prompt, 500))
        .await?;
    let mut pieces = 0;
    while pieces < 4 {
        let event = events
            .next()
            .await
            .context("the answer ended before it was cancelled")??;
        pieces += match event {
            GenerateEvent::Text(_) => 1,
            GenerateEvent::Prompt { processed_tokens, .. } if !decoding && processed_tokens > 0 => 4,
            GenerateEvent::Done(_) => anyhow::bail!("the answer ended before it was cancelled"),
            GenerateEvent::Queued { .. }
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. }
            | GenerateEvent::Reasoning(_)
            | GenerateEvent::ToolCall(_) => 0,
        };
    }
    let begin = Instant::now();
    drop(events);
    // The daemon has heard of the cancellation when the model is LOADED; the worker has acted on
    // it when it serves the next request at its usual speed.
    while let Some(message) = watch.next().await {
        if let WatchPayload::Event(Event::ModelChanged {
            model,
            from: StateName::Busy,
            ..
        }) = message?.payload
            && model.state == StateName::Loaded
        {
            break;
        }
    }
    let probe = answer(&bench.client, request(&bench.model, "\u{4e00}".to_owned(), 2)).await?;
    let usual = answer(&bench.client, request(&bench.model, "\u{4e01}".to_owned(), 2)).await?;
    Ok((probe.last() - begin).saturating_sub(usual.last() - usual.begin))
}
