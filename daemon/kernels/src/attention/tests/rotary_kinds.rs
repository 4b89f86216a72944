//! The rotary variants of models, as tables that a caller computes.

use super::cases::Random;
use super::reference::Angles;
use super::*;
use std::f64::consts::PI;

const SIZE: usize = 64;
const BASE: f64 = 10_000.0;

fn plain(dimensions: usize, base: f64) -> Vec<f64> {
    (0..dimensions / 2)
        .map(|index| base.powf(-2.0 * index as f64 / dimensions as f64))
        .collect()
}

fn linear(factor: f64) -> Vec<f64> {
    plain(SIZE, BASE)
        .into_iter()
        .map(|frequency| frequency / factor)
        .collect()
}

fn dynamic(factor: f64, length: f64, trained: f64) -> Vec<f64> {
    let size = SIZE as f64;
    plain(
        SIZE,
        BASE * (factor * length / trained - (factor - 1.0)).powf(size / (size - 2.0)),
    )
}

fn llama3(factor: f64, low: f64, high: f64, trained: f64) -> Vec<f64> {
    let scaled = |frequency: f64| {
        let wave = 2.0 * PI / frequency;
        let smooth = ((trained / wave - low) / (high - low)).clamp(0.0, 1.0);
        (1.0 - smooth) * frequency / factor + smooth * frequency
    };
    plain(SIZE, BASE).into_iter().map(scaled).collect()
}

fn yarn(factor: f64, fast: f64, slow: f64, trained: f64) -> Vec<f64> {
    let dimension = |turns: f64| SIZE as f64 * (trained / (turns * 2.0 * PI)).ln() / (2.0 * BASE.ln());
    let (low, high) = (
        dimension(fast).floor().max(0.0),
        dimension(slow).ceil().min(SIZE as f64 - 1.0),
    );
    let mixed = plain(SIZE, BASE)
        .into_iter()
        .enumerate()
        .map(|(index, frequency)| {
            let ramp = ((index as f64 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / factor * ramp + frequency * (1.0 - ramp)
        });
    mixed.collect()
}

fn longrope() -> Vec<f64> {
    let factors = (0..SIZE / 2).map(|index| 1.0 + 0.7 * index as f64);
    plain(SIZE, BASE)
        .into_iter()
        .zip(factors)
        .map(|(frequency, factor)| frequency / factor)
        .collect()
}

fn check(frequencies: Vec<f64>, factor: f64, interleaved: bool) {
    let lengths = [(290, 3), (0, 40)];
    for (element, bound) in [(Element::F32, 2e-4), (Element::F16, 4e-3), (Element::I8, 6e-2)] {
        let geometry = Geometry::new(4, 2, SIZE, 16, element).unwrap();
        let mut case = Case::new(geometry, &lengths, &mut Random::new(11));
        case.angles = Some(Angles {
            frequencies: frequencies.clone(),
            factor,
            interleaved,
            positions: 300,
        });
        for isa in Isa::available() {
            case.check(isa, &Threads(2), bound);
        }
    }
}

#[test]
fn every_rotary_variant_turns_by_its_angles() {
    for interleaved in [false, true] {
        // default.
        check(plain(SIZE, BASE), 1.0, interleaved);
        // linear.
        check(linear(4.0), 1.0, interleaved);
        // dynamic.
        check(dynamic(2.0, 300.0, 128.0), 1.0, interleaved);
        // llama3.
        check(llama3(8.0, 1.0, 4.0, 64.0), 1.0, interleaved);
        // yarn.
        check(yarn(4.0, 32.0, 1.0, 64.0), 0.1 * 4.0_f64.ln() + 1.0, interleaved);
        // longrope.
        check(
            longrope(),
            (1.0 + 4.0_f64.ln() / 64.0_f64.ln()).sqrt(),
            interleaved,
        );
        // partial.
        check(plain(24, BASE), 1.0, interleaved);
    }
}
