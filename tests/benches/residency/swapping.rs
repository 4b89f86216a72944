//! Reloads against the fewest possible, and how long requests wait.

use std::time::Duration;

use crate::bound::Times;
use crate::optimum;
use crate::random::Random;
use crate::simulator::{MEAN_ANSWER, Outcome, Simulator, arrivals};

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

/// With an ageing time so short that most requests age: what the bound is worth.
const SOON: Times = Times {
    fair_after: Duration::from_secs(5),
    at_once: 2,
    ..TIMES
};

/// True if every bar is met.
pub(crate) fn measure() -> bool {
    println!("{REQUESTS} requests in random order over {MODELS} models of which {PLACES} fit.\n");
    let mut met = true;
    head(&TIMES);
    for (popularity, exponent) in POPULARITIES {
        for load in LOADS {
            met &= Row::measure(exponent, load, TIMES).show(popularity, load >= LEAST_LOAD);
        }
    }
    println!();
    head(&SOON);
    for (popularity, exponent) in POPULARITIES {
        for load in LOADS {
            met &= Row::measure(exponent, load, SOON).show(popularity, false);
        }
    }
    met
}

fn head(times: &Times) {
    println!(
        "| popularity | load | reloads | fewest | ratio | one by one (LRU) | wait p50 | p90 | p99 | longest \
         | waited {} s | beyond the bound | refused |",
        times.fair_after.as_secs()
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
}

struct Row {
    load: f64,
    fewest: usize,
    one_by_one: usize,
    outcome: Outcome,
}

impl Row {
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    fn measure(exponent: f64, load: f64, times: Times) -> Self {
        let mut random = Random::new(20);
        let weights: Vec<f64> = (1..=MODELS).map(|n| (n as f64).powf(-exponent)).collect();
        let requests: Vec<usize> = (0..REQUESTS).map(|_| random.one_of(&weights)).collect();
        let places = usize::try_from(PLACES).unwrap_or(usize::MAX);
        let fewest = optimum::loads(&requests, places);
        let swap = (times.load + times.stop).as_secs_f64() * fewest as f64 / REQUESTS as f64;
        let capacity = PLACES as f64 / (swap + MEAN_ANSWER * times.longest_answer.as_secs_f64());
        let arrivals = arrivals(&requests, capacity * load, &times, &mut random);
        let mut outcome = Simulator::new(MODELS, PLACES, times, &arrivals).run();
        outcome.waits.sort_unstable();
        Self {
            load,
            fewest,
            one_by_one: optimum::one_by_one(&requests, places),
            outcome,
        }
    }

    /// Prints it. True if the bars are met.
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    fn show(&self, popularity: &str, reloads_have_a_bar: bool) -> bool {
        let Self {
            load,
            fewest,
            outcome,
            ..
        } = self;
        let ratio = outcome.loads as f64 / *fewest as f64;
        let one_by_one = self.one_by_one as f64 / *fewest as f64;
        println!(
            "| {popularity} | {load} | {} | {fewest} | {ratio:.2} | {one_by_one:.2} | {:.1} s | {:.1} s | {:.1} s | {:.1} s | {} | {} | {} |",
            outcome.loads,
            self.wait(500),
            self.wait(900),
            self.wait(990),
            self.wait(1000),
            outcome.aged,
            outcome.beyond_the_bound,
            outcome.refused
        );
        (ratio <= MOST_RELOADS || !reloads_have_a_bar) && outcome.beyond_the_bound == 0
    }

    /// What so many of a thousand requests waited at most, in seconds.
    fn wait(&self, of_thousand: usize) -> f64 {
        let waits = &self.outcome.waits;
        let index = waits.len().saturating_sub(1) * of_thousand / 1000;
        waits.get(index).map_or(0.0, Duration::as_secs_f64)
    }
}
