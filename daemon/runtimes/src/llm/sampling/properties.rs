//! The sampler against naive implementations of the same words.

use std::collections::BTreeMap;

use airunner_core::generate::Sampling;
use proptest::prelude::*;

use super::candidates::{Candidates, Shape};
use super::{Sampler, SamplingError};

/// Sorts everything, in f64: slow and plain.
fn reference(logits: &[f32], shape: Shape) -> Vec<(u32, f64)> {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut all: Vec<(u32, f32, f64)> = logits
        .iter()
        .enumerate()
        .map(|(id, &logit)| {
            (
                id as u32,
                logit,
                (f64::from(logit - highest) / f64::from(shape.temperature)).exp(),
            )
        })
        .collect();
    all.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
    if shape.top_k > 0 {
        all.truncate(shape.top_k);
    }
    let total: f64 = all.iter().map(|entry| entry.2).sum();
    let mut mass = 0.0;
    let mut kept = Vec::new();
    for (id, _, weight) in all {
        if shape.top_p < 1.0 && !kept.is_empty() && mass >= f64::from(shape.top_p) * total {
            break;
        }
        mass += weight;
        kept.push((id, weight));
    }
    kept.retain(|entry| entry.1 >= f64::from(shape.min_p));
    kept
}

fn rows() -> impl Strategy<Value = Vec<f32>> {
    let logit = prop_oneof![
        8 => -12.0_f32..12.0,
        1 => Just(3.0_f32),
        1 => Just(f32::NEG_INFINITY),
    ];
    prop::collection::vec(logit, 1..300)
        .prop_filter("one can be chosen", |row| row.iter().any(|v| v.is_finite()))
}

fn shapes() -> impl Strategy<Value = Shape> {
    let off_or = |on: std::ops::Range<f32>, off: f32| prop_oneof![Just(off), on];
    (
        0.05_f32..3.0,
        prop_oneof![Just(0_usize), 1..80_usize],
        off_or(0.05..0.99, 1.0),
        off_or(0.01..0.9, 0.0),
    )
        .prop_map(|(temperature, top_k, top_p, min_p)| Shape {
            temperature,
            top_k,
            top_p,
            min_p,
        })
}

proptest! {
    #[test]
    fn truncation_equals_the_naive_one(row in rows(), shape in shapes()) {
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut candidates = Candidates::default();
        let kept = candidates.select(&row, highest, shape);
        let expected = reference(&row, shape);
        let weight_of: BTreeMap<u32, f64> = expected.iter().copied().collect();
        // A weight within rounding of a border may fall on either side of it.
        let lightest = expected.last().map_or(0.0, |entry| entry.1).max(f64::from(shape.min_p));
        for &(id, weight) in kept {
            let weight = f64::from(weight);
            match weight_of.get(&id) {
                Some(&exact) => prop_assert!((weight - exact).abs() <= 5e-5 * exact + 1e-12),
                None => prop_assert!((weight - lightest).abs() <= 1e-4 * lightest + 1e-12),
            }
        }
        let count = kept.iter().filter(|entry| entry.1 > 1e-37).count();
        let expected_count = expected.iter().filter(|entry| entry.1 > 1e-37).count();
        prop_assert!(count.abs_diff(expected_count) <= 1, "{} {}", count, expected_count);
    }

    #[test]
    fn temperature_zero_takes_the_first_of_the_largest(row in rows()) {
        let sampling = Sampling { temperature: Some(0.0), ..Sampling::default() };
        let token = Sampler::new(&sampling, None, 1, &[]).sample(&row).unwrap().token as usize;
        prop_assert!(row.iter().all(|&other| other <= row[token]));
        prop_assert!(row[..token].iter().all(|&other| other < row[token]));
    }

    #[test]
    fn the_same_seed_gives_the_same_tokens(row in rows(), seed: u64, first: u64, second: u64) {
        let sampling = Sampling { seed: Some(seed), ..Sampling::default() };
        let run = |fresh: u64| -> Vec<u32> {
            let mut sampler = Sampler::new(&sampling, None, fresh, &[]);
            (0..20).map(|_| sampler.sample(&row).unwrap().token).collect()
        };
        prop_assert_eq!(run(first), run(second));
    }

    #[test]
    fn bias_bans_and_forces(row in prop::collection::vec(-12.0_f32..12.0, 2..200), at: prop::sample::Index, seed: u64) {
        let token = at.index(row.len()) as u32;
        for (bias, temperature) in [(100.0, 0.0), (100.0, 1.0), (-100.0, 0.0), (-100.0, 1.0)] {
            let sampling = Sampling {
                temperature: Some(temperature),
                logit_bias: BTreeMap::from([(token, bias), (9_999, 5.0)]),
                ..Sampling::default()
            };
            let chosen = Sampler::new(&sampling, None, seed, &[]).sample(&row).unwrap().token;
            prop_assert_eq!(chosen == token, bias > 0.0);
        }
    }
}

#[test]
fn draws_follow_the_distribution() {
    let row: Vec<f32> = [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect();
    let mut sampler = Sampler::new(&Sampling::default(), None, 7, &[]);
    let mut counts = [0_u32; 4];
    for _ in 0..40_000 {
        counts[sampler.sample(&row).unwrap().token as usize] += 1;
    }
    for (count, expected) in counts.into_iter().zip([4_000, 8_000, 12_000, 16_000_u32]) {
        assert!(count.abs_diff(expected) < 400, "{counts:?}");
    }
}

/// Pins the generator and the draw: another machine or release must choose the same.
#[test]
fn a_seed_means_these_tokens() {
    let row: Vec<f32> = (0..50).map(|id| ((id * 37) % 50) as f32 / 10.0).collect();
    let draw = |sampling: Sampling| -> Vec<u32> {
        let mut sampler = Sampler::new(&sampling, None, 0, &[]);
        (0..8).map(|_| sampler.sample(&row).unwrap().token).collect()
    };
    let seeded = Sampling {
        seed: Some(42),
        ..Sampling::default()
    };
    let nucleus = Sampling {
        temperature: Some(0.8),
        top_k: Some(20),
        top_p: Some(0.9),
        ..seeded.clone()
    };
    assert_eq!(draw(seeded), [31, 45, 20, 31, 12, 6, 12, 36]);
    assert_eq!(draw(nucleus), [39, 1, 8, 12, 31, 4, 31, 43]);
}

#[test]
fn penalties_do_what_they_say() {
    let row = [2.0_f32, 1.9, -1.0, -1.1];
    let greedy = Sampling {
        temperature: Some(0.0),
        ..Sampling::default()
    };
    let first = |sampling: Sampling, prompt: &[u32], row: &[f32]| {
        Sampler::new(&sampling, None, 0, prompt)
            .sample(row)
            .unwrap()
            .token
    };
    let repetition = Sampling {
        repetition_penalty: Some(1.2),
        ..greedy.clone()
    };
    assert_eq!(first(repetition.clone(), &[], &row), 0);
    assert_eq!(
        first(repetition.clone(), &[0, 0], &row),
        1,
        "a positive logit is divided, once"
    );
    assert_eq!(
        first(repetition, &[2], &row[2..]),
        0,
        "the prompt's token is not in this row"
    );
    let negative = Sampling {
        repetition_penalty: Some(1.2),
        ..greedy.clone()
    };
    assert_eq!(
        first(negative, &[0], &[-1.0, -1.1]),
        1,
        "a negative logit is multiplied"
    );

    let answer = |sampling: Sampling| -> Vec<u32> {
        let mut sampler = Sampler::new(&sampling, None, 0, &[0, 0, 0]);
        (0..4)
            .map(|_| sampler.sample(&[2.0, 1.5, 1.0]).unwrap().token)
            .collect()
    };
    let presence = Sampling {
        presence_penalty: Some(0.7),
        ..greedy.clone()
    };
    assert_eq!(
        answer(presence),
        [0, 1, 0, 0],
        "once per token, the prompt does not count"
    );
    let frequency = Sampling {
        frequency_penalty: Some(0.4),
        ..greedy
    };
    assert_eq!(answer(frequency), [0, 0, 1, 0], "once per occurrence");
}

#[test]
fn refuses_what_is_not_a_number() {
    let mut sampler = Sampler::new(&Sampling::default(), Some(1), 0, &[]);
    assert_eq!(sampler.sample(&[0.0, f32::NAN]), Err(SamplingError::NotANumber));
    assert_eq!(
        sampler.sample(&[0.0, f32::INFINITY]),
        Err(SamplingError::NotANumber)
    );
    assert_eq!(
        sampler.sample(&[f32::NEG_INFINITY; 3]),
        Err(SamplingError::NothingLeft)
    );
    assert_eq!(sampler.sample(&[]), Err(SamplingError::NothingLeft));
}

#[test]
fn log_probabilities_are_those_of_the_untouched_row() {
    let sampling = Sampling {
        temperature: Some(0.0),
        logit_bias: BTreeMap::from([(0, -100.0)]),
        ..Sampling::default()
    };
    let row: Vec<f32> = [0.5_f32, 0.3, 0.2].iter().map(|p| p.ln()).collect();
    let sampled = Sampler::new(&sampling, Some(2), 0, &[]).sample(&row).unwrap();
    let logprobs = sampled.logprobs.unwrap();
    assert_eq!(sampled.token, 1);
    assert!((logprobs.logprob - 0.3_f32.ln()).abs() < 1e-6);
    assert_eq!(
        logprobs.top.iter().map(|entry| entry.0).collect::<Vec<_>>(),
        [0, 1]
    );
    assert!((logprobs.top[0].1 - 0.5_f32.ln()).abs() < 1e-6);
}
