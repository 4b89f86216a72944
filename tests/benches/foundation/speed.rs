//! Tokens per second against the bare loop.

use std::time::Instant;

use airunner_tests::bench::{BareLoop, Figure, Timed, answer, median, prompt, ratio, request};

use crate::Bench;

const PROMPT: usize = 512;
const DECODE: u32 = 128;
/// For several requests at once, which decode longer all together.
const SHORT_PROMPT: usize = 32;
const SHORT_DECODE: u32 = 64;

/// One request: prompt and decode speed.
pub(crate) async fn alone(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut bare = BareLoop::start(&bench.bare_loop, &bench.package)?;
    bare.round(PROMPT, 8, 1).await?;
    answer(&bench.client, request(&bench.model, prompt(PROMPT, 1), 8)).await?;
    let (mut ours, mut theirs) = ((vec![], vec![]), (vec![], vec![]));
    for round in 0..bench.rounds {
        let speed = bare.round(PROMPT, DECODE as usize, 1).await?;
        theirs.0.push(speed.prompt);
        theirs.1.push(speed.decode);
        let timed = answer(
            &bench.client,
            request(&bench.model, prompt(PROMPT, 100 + round as u64), DECODE),
        )
        .await?;
        ours.0
            .push(PROMPT as f64 / (timed.first() - timed.begin).as_secs_f64());
        ours.1
            .push((timed.pieces.len() - 1) as f64 / (timed.last() - timed.first()).as_secs_f64());
    }
    let figure = |what: &str, ours: &[f64], theirs: &[f64]| {
        let (a, b) = (median(ours.to_vec()), median(theirs.to_vec()));
        let measured = format!("{:.3} ({a:.1} against {b:.1} tokens/s)", ratio(ours, theirs));
        Figure::new(what, "at least 0.97", measured)
    };
    Ok(vec![
        figure(
            "prompt of 512 tokens, client to worker, against a bare loop",
            &ours.0,
            &theirs.0,
        ),
        figure(
            "decode of 128 tokens, client to worker, against a bare loop",
            &ours.1,
            &theirs.1,
        ),
    ])
}

/// Several requests at once: total decoded tokens per second.
pub(crate) async fn together(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    let mut bare = BareLoop::start(&bench.bare_loop, &bench.package)?;
    let streams = [1_usize, 4, 8];
    let mut ours = [const { Vec::new() }; 3];
    let mut theirs = [const { Vec::new() }; 3];
    // Both are warmed up by a short round.
    bare.round(SHORT_PROMPT, 4, 8).await?;
    answer(&bench.client, request(&bench.model, prompt(SHORT_PROMPT, 3), 4)).await?;
    for round in 0..bench.rounds {
        for (index, &count) in streams.iter().enumerate() {
            let speed = bare
                .round(SHORT_PROMPT, SHORT_DECODE as usize, count)
                .await?
                .decode;
            let rate = at_once(bench, count, 1000 * (round as u64 + 1)).await?;
            theirs[index].push(speed);
            ours[index].push(rate);
        }
    }
    let mut figures = Vec::new();
    for (index, against_one) in [(1, "at least 2.0"), (2, "at least 2.4")] {
        let count = streams[index];
        let rate = median(ours[index].clone());
        figures.push(Figure::new(
            format!("{count} requests at once: total decode speed against 1"),
            against_one,
            format!("{:.2} ({rate:.1} tokens/s)", ratio(&ours[index], &ours[0])),
        ));
        figures.push(Figure::new(
            format!("{count} requests at once: total decode speed against a bare loop of batch {count}"),
            "at least 0.95",
            format!("{:.3}", ratio(&ours[index], &theirs[index])),
        ));
    }
    Ok(figures)
}

/// Tokens per second of all streams, over the time in which all of them decode.
async fn at_once(bench: &Bench, count: usize, seed: u64) -> anyhow::Result<f64> {
    let one = |index: usize| {
        let request = request(
            &bench.model,
            prompt(SHORT_PROMPT, seed + index as u64),
            SHORT_DECODE,
        );
        answer(&bench.client, request)
    };
    let answers = futures_util::future::try_join_all((0..count).map(one)).await?;
    let begin = answers
        .iter()
        .map(Timed::first)
        .max()
        .unwrap_or_else(Instant::now);
    let end = answers.iter().map(Timed::last).min().unwrap_or_else(Instant::now);
    let pieces = answers.iter().flat_map(|timed| &timed.pieces);
    let tokens = pieces.filter(|&&at| at > begin && at <= end).count();
    Ok(tokens as f64 / (end - begin).as_secs_f64())
}
