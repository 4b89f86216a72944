//! What our kinds of blocks lose beside those of llama.cpp, on the same weights.
//!
//! `tests/testdata/scripts/make_quantization.py` makes the same matrices and writes what llama.cpp
//! loses of each.

use std::f64::consts::TAU;
use std::path::Path;

use airunner_core::quantize::QuantizeLevel;
use serde::Deserialize;

use super::levels::tests::{bits_read, compared, decoders};
use super::levels::{Candidate, Losses};
use super::sample::sampled;
use super::source::Matrix;

const DEVIATION: f64 = 0.02;

#[derive(Deserialize)]
struct Golden {
    rows: usize,
    columns: usize,
    matrices: Vec<Theirs>,
}

#[derive(Deserialize)]
struct Theirs {
    name: String,
    beginning: [f64; 4],
    q4_0: f64,
    q4_k: f64,
    q6_k: f64,
}

fn golden() -> Golden {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/testdata/quantization/llamacpp.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Between 0 and 1: splitmix64 of a counter.
fn uniform(stream: u64, place: usize) -> f64 {
    let mut number = (stream << 40) + place as u64;
    number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^= number >> 31;
    ((number >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

fn normal(stream: u64, place: usize) -> f64 {
    (-2.0 * uniform(stream, place).ln()).sqrt() * (TAU * uniform(stream + 100, place)).cos()
}

fn student_t(stream: u64, place: usize, freedom: u64) -> f64 {
    let squares: f64 = (1..=freedom).map(|one| normal(stream + one, place).powi(2)).sum();
    normal(stream, place) / (squares / freedom as f64).sqrt()
}

fn weight(name: &str, place: usize, columns: usize) -> f64 {
    match name {
        "normal" => normal(1, place),
        "student_t_6" => student_t(2, place, 6),
        "student_t_4" => student_t(10, place, 4),
        "laplace" => {
            let sign = if uniform(120, place) < 0.5 { -1.0 } else { 1.0 };
            -uniform(20, place).ln() * sign
        }
        "varying_rows" => normal(30, place) * (0.5 * normal(31, place / columns)).exp(),
        "varying_columns" => normal(40, place) * (0.5 * normal(41, place % columns)).exp(),
        name => panic!("{name} is not made here"),
    }
}

/// A distribution with what ours and theirs lose of it.
fn measured() -> Vec<(Theirs, Losses)> {
    let Golden {
        rows,
        columns,
        matrices,
    } = golden();
    let of = |theirs: Theirs| {
        let numbers: Vec<f32> = (0..rows * columns)
            .map(|place| (DEVIATION * weight(&theirs.name, place, columns)) as f32)
            .collect();
        for (number, expected) in numbers.iter().zip(theirs.beginning) {
            assert!((f64::from(*number) - expected).abs() < 1e-8, "{}", theirs.name);
        }
        let losses = sampled(&Matrix::of_rows(rows, &numbers));
        (theirs, losses)
    };
    matrices.into_iter().map(of).collect()
}

fn with(losses: Losses, candidates: &[Candidate]) -> Vec<Candidate> {
    let of = |&one: &Candidate| Candidate { losses, ..one };
    candidates.iter().map(of).collect()
}

#[test]
fn q4_m_loses_no_more_than_q4_k_m_whatever_the_distribution() {
    for (theirs, losses) in measured() {
        for candidates in decoders() {
            let candidates = with(losses, &candidates);
            let (ours, peer) = compared(&candidates, theirs.q4_k, theirs.q6_k);
            let bits = bits_read(QuantizeLevel::Q4M, &candidates);
            let shape = format!("{}: {ours:.5}, Q4_K_M {peer:.5}, {bits:.2} bits", theirs.name);
            assert!(ours <= peer, "{shape}");
            // And not much less, which would be paid for with size.
            assert!(ours > peer * 0.93, "{shape}");
        }
    }
}

#[test]
fn blocks_of_16_around_zero_lose_about_as_much_as_q4_k_and_less_than_q4_0() {
    for (theirs, ours) in measured() {
        let name = &theirs.name;
        assert!(
            (0.96..1.04).contains(&(ours.four / theirs.q4_k)),
            "{name}: {ours:?}"
        );
        assert!(
            ours.four_with_zero_points < theirs.q4_0 && ours.four < theirs.q4_0,
            "{name}: {ours:?}"
        );
        assert!(ours.eight < theirs.q6_k, "{name}: {ours:?}");
    }
}
