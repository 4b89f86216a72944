//! Clients that come when they like, against `llama_cpp.server`.

use std::time::{Duration, Instant};

use airunner_tests::bench::{Figure, median, prompt, quantile, ratio};
use anyhow::Context;

use crate::Bench;
use crate::ours::Ours;
use crate::server::Server;

const CLIENTS: u64 = 8;
const REQUESTS_EACH: u64 = 3;

/// An answer, as a client saw it.
#[derive(Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) begin: Instant,
    /// To the first piece of text.
    pub(crate) first: Duration,
    pub(crate) end: Instant,
    /// Of `llama_cpp.server` those that were asked for, which are the most it can have given.
    pub(crate) tokens: u32,
}

/// What one client asks next, the same for both sides.
struct Request {
    /// Before it is asked, since the last answer ended.
    pause: Duration,
    prompt: String,
    tokens: u32,
}

/// A round of one side.
#[derive(Clone, Copy)]
struct Round {
    tokens_per_second: f64,
    first_95_ms: f64,
}

pub(crate) async fn measure(bench: &Bench, ours: &Ours) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(bench).await?;
    server.ask(prompt(32, 1), 4).await?;
    ours.ask(prompt(32, 1), 4, 1).await?;
    let each = if bench.quick { 1 } else { REQUESTS_EACH };
    let (mut of_ours, mut of_theirs) = (Vec::new(), Vec::new());
    for number in 1..=bench.rounds as u64 {
        let asking = (0..CLIENTS).map(|client| ask_ours(ours, schedule(number, client, each)));
        of_ours.push(round(futures_util::future::try_join_all(asking).await?)?);
        let asking = (0..CLIENTS).map(|client| ask_server(&server, schedule(number, client, each)));
        of_theirs.push(round(futures_util::future::try_join_all(asking).await?)?);
        eprintln!("measured: arrivals, round {number} of {}", bench.rounds);
    }
    Ok(figures(&of_ours, &of_theirs))
}

fn figures(ours: &[Round], theirs: &[Round]) -> Vec<Figure> {
    let speeds = |rounds: &[Round]| {
        rounds
            .iter()
            .map(|round| round.tokens_per_second)
            .collect::<Vec<f64>>()
    };
    let firsts = |rounds: &[Round]| rounds.iter().map(|round| round.first_95_ms).collect::<Vec<f64>>();
    let (a, b) = (speeds(ours), speeds(theirs));
    let (first_a, first_b) = (firsts(ours), firsts(theirs));
    vec![
        Figure::new(
            "8 clients, different prompts, random times: total answers against `llama_cpp.server` (Q4_0)",
            "2",
            format!(
                "{:.2} ({:.1} against {:.1} tokens/s)",
                ratio(&a, &b),
                median(a.clone()),
                median(b.clone())
            ),
        ),
        Figure::new(
            "the same: 95 % have their first token within, against `llama_cpp.server`",
            "at most 0.33",
            format!(
                "{:.2} ({:.2} against {:.2} s)",
                ratio(&first_a, &first_b),
                median(first_a.clone()) / 1e3,
                median(first_b.clone()) / 1e3
            ),
        ),
    ]
}

/// Prompts of 64 to 255 tokens, answers of 32 to 95, pauses of up to 2 s, and of up to 4 s first.
fn schedule(round: u64, client: u64, requests: u64) -> Vec<Request> {
    let mut state = (round * 97 + client + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let request = |number| Request {
        pause: Duration::from_millis(next(if number == 0 { 4000 } else { 2000 })),
        prompt: prompt(64 + next(192) as usize, next(u64::MAX)),
        tokens: 32 + next(64) as u32,
    };
    (0..requests).map(request).collect()
}

async fn ask_ours(ours: &Ours, requests: Vec<Request>) -> anyhow::Result<Vec<Answered>> {
    let mut answered = Vec::new();
    for Request {
        pause,
        prompt,
        tokens,
    } in requests
    {
        tokio::time::sleep(pause).await;
        let timed = ours.ask(prompt, tokens, 5).await?;
        answered.push(Answered {
            begin: timed.begin,
            first: timed.first() - timed.begin,
            end: Instant::now(),
            tokens: timed.done.usage.completion_tokens,
        });
    }
    Ok(answered)
}

async fn ask_server(server: &Server, requests: Vec<Request>) -> anyhow::Result<Vec<Answered>> {
    let mut answered = Vec::new();
    for Request {
        pause,
        prompt,
        tokens,
    } in requests
    {
        tokio::time::sleep(pause).await;
        answered.push(server.ask(prompt, tokens).await?);
    }
    Ok(answered)
}

fn round(clients: Vec<Vec<Answered>>) -> anyhow::Result<Round> {
    let answers: Vec<Answered> = clients.into_iter().flatten().collect();
    let begin = answers
        .iter()
        .map(|answer| answer.begin)
        .min()
        .context("nobody asked")?;
    let end = answers
        .iter()
        .map(|answer| answer.end)
        .max()
        .context("nobody asked")?;
    let tokens: u32 = answers.iter().map(|answer| answer.tokens).sum();
    let firsts = answers.iter().map(|answer| answer.first.as_secs_f64() * 1e3);
    Ok(Round {
        tokens_per_second: f64::from(tokens) / (end - begin).as_secs_f64(),
        first_95_ms: quantile(firsts.collect(), 0.95),
    })
}
