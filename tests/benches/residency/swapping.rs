//! Reloads against the fewest possible, and how long requests wait.

use std::time::Duration;

use crate::bound::Times;
use crate::optimum;
use crate::random::Random;
use crate::simulator::{Simulator, arrivals};

const REQUESTS: usize = 10_000;
const MODELS: usize = 20;
const PLACES: u64 = 4;
const MOST_RELOADS: f64 = 1.3;
/// Shares of the capacity: of as many requests a second as could be answered if memory were
/// never without work and every load were one of the fewest possible.
const LOADS: [f64; 5] = [0.1, 0.5, 0.8, 0.95, 2.0];
/// With fewer requests hardly any two wait at the same time, and without foresight nobody can do
/// much better than to keep what was asked for most: such rows are shown, and have no bar.
const LEAST_LOAD: f64 = 0.5;
const POPULARITIES: [(&str, f64); 3] = [
    ("all alike", 0.0),
    ("Zipf, exponent 0.8", 0.8),
    ("Zipf, exponent 1.2", 1.2),
];
const TIMES: Times = Times {
    load: Duration::from_secs(2),
    stop: Duration::from_millis(100),
    longest_answer: Duration::from_millis(800),
    fair_after: Duration::from_secs(30),
    at_once: 8,
};

/// True if every bar is met.
pub(crate) fn measure() -> bool {
    println!("{REQUESTS} requests in random order over {MODELS} models of which {PLACES} fit.\n");
    println!(
        "| popularity | load | reloads | fewest | ratio | one by one (LRU) | wait p50 | p90 | p99 | longest | waited {} s | beyond the bound | refused |",
        TIMES.fair_after.as_secs()
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut met = true;
    for (popularity, exponent) in POPULARITIES {
        for load in LOADS {
            met &= row(popularity, exponent, load);
        }
    }
    met
}

#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn row(popularity: &str, exponent: f64, load: f64) -> bool {
    let mut random = Random::new(20);
    let weights: Vec<f64> = (1..=MODELS).map(|n| (n as f64).powf(-exponent)).collect();
    let requests: Vec<usize> = (0..REQUESTS).map(|_| random.one_of(&weights)).collect();
    let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
    let fewest = optimum::loads(&requests, places);
    let swap = (TIMES.load + TIMES.stop).as_secs_f64() * fewest as f64 / REQUESTS as f64;
    let answer = TIMES.longest_answer.as_secs_f64() * 0.625;
    let capacity = PLACES as f64 / (swap + answer);
    let arrivals = arrivals(&requests, capacity * load, &TIMES, &mut random);
    let mut outcome = Simulator::new(MODELS, PLACES, TIMES, &arrivals).run();
    outcome.waits.sort_unstable();
    let wait = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 0, and thousands"
        )]
        let index = ((outcome.waits.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        outcome
            .waits
            .get(index as usize)
            .map_or(0.0, Duration::as_secs_f64)
    };
    let ratio = outcome.loads as f64 / fewest as f64;
    let one_by_one = optimum::one_by_one(&requests, places) as f64 / fewest as f64;
    println!(
        "| {popularity} | {load} | {} | {fewest} | {ratio:.2} | {one_by_one:.2} | {:.1} s | {:.1} s | {:.1} s | {:.1} s | {} | {} | {} |",
        outcome.loads,
        wait(0.5),
        wait(0.9),
        wait(0.99),
        wait(1.0),
        outcome.aged,
        outcome.beyond_the_bound,
        outcome.refused
    );
    (ratio <= MOST_RELOADS || load < LEAST_LOAD) && outcome.beyond_the_bound == 0
}
