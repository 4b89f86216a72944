//! Single answers, timed by the client's own clock.

use std::time::{Duration, Instant};

use airunner_core::ModelName;
use airunner_core::event::{Event, WatchPayload};
use airunner_core::generate::{Done, GenerateEvent, GenerateRequest, Input, Sampling};
use airunner_core::lifecycle::StateName;
use airunner_ipc_client::Client;
use anyhow::{Context, ensure};

use crate::rounds::median;
use crate::{Bench, Figure};

/// When the pieces of an answer came.
pub(crate) struct Timed {
    pub(crate) begin: Instant,
    /// One for each piece of text.
    pub(crate) pieces: Vec<Instant>,
    pub(crate) text: String,
    pub(crate) done: Done,
}

impl Timed {
    pub(crate) fn first(&self) -> Instant {
        self.pieces.first().copied().unwrap_or(self.begin)
    }

    pub(crate) fn last(&self) -> Instant {
        self.pieces.last().copied().unwrap_or(self.begin)
    }
}

/// A prompt of that many tokens; different for every `seed` from the first token on.
pub(crate) fn prompt(tokens: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Within the characters of every package that the script beside this makes.
        0x4E00 + u32::try_from(state % 1900).unwrap_or(0)
    };
    (0..tokens).filter_map(|_| char::from_u32(next())).collect()
}

pub(crate) fn request(model: &ModelName, prompt: String, tokens: u32) -> GenerateRequest {
    let mut request = GenerateRequest::new(model.clone(), Input::Raw(prompt));
    request.sampling = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    request.max_tokens = Some(tokens);
    request
}

pub(crate) async fn answer(client: &Client, request: GenerateRequest) -> anyhow::Result<Timed> {
    let begin = Instant::now();
    let mut events = client.llm().generate(request).await?;
    let (mut pieces, mut text) = (Vec::new(), String::new());
    while let Some(event) = events.next().await {
        match event? {
            GenerateEvent::Text(delta) => {
                pieces.push(Instant::now());
                text.push_str(&delta.text);
            }
            GenerateEvent::Done(done) => {
                return Ok(Timed {
                    begin,
                    pieces,
                    text,
                    done,
                });
            }
            GenerateEvent::Queued { .. }
            | GenerateEvent::Loading(_)
            | GenerateEvent::Prompt { .. }
            | GenerateEvent::Reasoning(_)
            | GenerateEvent::ToolCall(_) => {}
        }
    }
    anyhow::bail!("the answer ended without an end")
}

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
