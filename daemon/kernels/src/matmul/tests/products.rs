//! Products of every set of instructions.

use proptest::prelude::*;

use super::case::{Aligned, Chance, Plain, Way, packed, usual_scale, ways};
use crate::matmul::{Activation, Arrangement, Bits, Matrix, Scratch, Shape};
use crate::{Isa, Serial, Threads};

const BLOCKS: [usize; 5] = [16, 32, 64, 128, 256];

/// Every kind of weights, with this size.
fn kinds(rows: usize, columns: usize) -> impl Iterator<Item = Shape> {
    BLOCKS.into_iter().flat_map(move |block| {
        [
            (Bits::Four, false),
            (Bits::Four, true),
            (Bits::Eight, false),
            (Bits::Eight, true),
        ]
        .map(|(bits, zero_points)| Shape::new(rows, columns, block, bits, zero_points).unwrap())
    })
}

/// Integers that their quantized form has exactly: the largest of every block is 127.
fn integers(chance: &mut Chance, rows: usize, shape: &Shape) -> Vec<f32> {
    let value = |column: usize, chance: &mut Chance| {
        if column.is_multiple_of(shape.block()) {
            127.0
        } else {
            (chance.next() % 255) as f32 - 127.0
        }
    };
    (0..rows)
        .flat_map(|_| 0..shape.columns())
        .map(|column| value(column, chance))
        .collect()
}

/// The product of integers, by definition. Every partial sum is below 2²⁴.
fn exact(plain: &Plain, x: &[f32]) -> Vec<f32> {
    let (columns, rows) = (plain.shape.columns(), plain.shape.rows());
    let weights: Vec<i32> = (0..rows * columns)
        .map(|at| plain.integer(at / columns, at % columns))
        .collect();
    let dot = |x: &[f32], w: &[i32]| x.iter().zip(w).map(|(x, w)| *x as i32 * w).sum::<i32>();
    x.chunks(columns)
        .flat_map(|x| weights.chunks(columns).map(move |w| dot(x, w) as f32 * 0.5))
        .collect()
}

fn check_integers(shape: Shape, rows: usize, seed: u64) {
    let mut chance = Chance::new(seed);
    let plain = Plain::new(shape, &mut chance, |_| 0.5);
    let x = integers(&mut chance, rows, &shape);
    let (matrix, should) = (plain.pack(), exact(&plain, &x));
    for way in ways(&shape).into_iter().chain([Way::portable(&shape)]) {
        let is = way.multiply(&matrix, &x, None, &Serial);
        assert_eq!(is, should, "{} of {shape:?}, {rows} rows", way.name);
    }
}

/// What no output may be away from the product with the exact activations: half a step of every
/// activation, and the roundings of the sum.
fn bounds(weights: &[f32], x: &[f32], shape: &Shape) -> (f64, f64, f64) {
    let (mut product, mut quantization, mut size) = (0.0, 0.0, 0.0);
    let group = shape.blocks_per_group() * shape.block();
    for (weights, x) in weights.chunks(group).zip(x.chunks(group)) {
        let largest = x.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
        for (weight, x) in weights.iter().zip(x) {
            let (weight, x) = (f64::from(*weight), f64::from(*x));
            product += weight * x;
            quantization += weight.abs() * f64::from(largest) / 253.9;
            size += (weight * x).abs();
        }
    }
    let additions = x.len().div_ceil(shape.block()) as f64 + 4.0;
    (
        product,
        quantization,
        additions * 2.0_f64.powi(-23) * (size + quantization),
    )
}

/// All weights as products see them.
fn rows_of(matrix: &Matrix<Aligned>) -> Vec<Vec<f32>> {
    let row = |row: usize| {
        let mut out = vec![f32::NAN; matrix.shape().columns()];
        matrix.row(row, &mut out).unwrap();
        out
    };
    (0..matrix.shape().rows()).map(row).collect()
}

fn check_numbers(shape: Shape, rows: usize, seed: u64) {
    let mut chance = Chance::new(seed);
    let plain = Plain::new(shape, &mut chance, usual_scale);
    let matrix = plain.pack();
    let x: Vec<f32> = (0..rows * shape.columns()).map(|_| chance.gauss()).collect();
    let bias: Vec<f32> = (0..shape.rows()).map(|_| chance.gauss()).collect();
    let portable = Way::portable(&shape).multiply(&matrix, &x, Some(&bias), &Serial);
    let others: Vec<(Way, Vec<f32>)> = ways(&shape)
        .into_iter()
        .map(|way| {
            let y = way.multiply(&matrix, &x, Some(&bias), &Threads(2));
            (way, y)
        })
        .collect();
    let weights = rows_of(&matrix);
    for (row, x) in x.chunks(shape.columns()).enumerate() {
        for (output, weights) in weights.iter().enumerate() {
            let (product, quantization, rounding) = bounds(weights, x, &shape);
            let rounding = rounding + f64::from(bias[output].abs()) * 1e-6;
            let should = product + f64::from(bias[output]);
            let at = row * shape.rows() + output;
            let away = (f64::from(portable[at]) - should).abs();
            assert!(
                away <= quantization + rounding,
                "{shape:?}: {} is not {should}",
                portable[at]
            );
            for (way, y) in &others {
                let away = (f64::from(y[at]) - f64::from(portable[at])).abs();
                assert!(
                    away <= rounding,
                    "{} of {shape:?}: {} is not {}",
                    way.name,
                    y[at],
                    portable[at]
                );
            }
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let kind = (0..BLOCKS.len(), any::<bool>(), any::<bool>());
    (1..80_usize, 1..700_usize, kind).prop_map(|(rows, columns, (block, is_four, zero_points))| {
        let bits = if is_four { Bits::Four } else { Bits::Eight };
        Shape::new(rows, columns, BLOCKS[block], bits, zero_points).unwrap()
    })
}

/// Cases of a property: few under an interpreter.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(if cfg!(miri) { 1 } else { count })
    }
}

proptest! {
    #![proptest_config(cases(150))]

    #[test]
    fn integers_are_exact(shape in shapes(), rows in 1..20_usize, seed: u64) {
        // Larger sums have no place in 24 bits.
        let shape = Shape::new(shape.rows(), shape.columns().min(500), shape.block(), shape.bits(), shape.has_zero_points()).unwrap();
        check_integers(shape, rows, seed);
    }

    #[test]
    fn numbers_are_within_their_bounds(shape in shapes(), rows in 1..20_usize, seed: u64) {
        check_numbers(shape, rows, seed);
    }
}

#[test]
fn every_kind_of_weights_with_every_number_of_rows() {
    let most = if cfg!(miri) { 1 } else { 9 };
    for rows in 1..=most {
        for shape in kinds(19, 290) {
            check_integers(shape, rows, rows as u64);
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn wide_matrices_are_computed_in_pieces() {
    for shape in kinds(403, 4500) {
        check_numbers(shape, 9, 7);
    }
}

/// The relative error is that of activations in 8 bits.
#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn a_usual_product_is_half_a_percent_away() {
    for shape in kinds(64, 2048) {
        let most = match shape.blocks_per_group() * shape.block() {
            16 => 5.2e-3,
            32 => 5.6e-3,
            64 => 6.3e-3,
            128 => 6.9e-3,
            _ => 7.4e-3,
        };
        let mut chance = Chance::new(5);
        let plain = Plain::new(shape, &mut chance, |chance| 0.005 + 0.005 * chance.unit());
        let x: Vec<f32> = (0..16 * 2048).map(|_| chance.gauss()).collect();
        let matrix = plain.pack();
        let y = Way::portable(&shape).multiply(&matrix, &x, None, &Serial);
        let (mut error, mut size) = (0.0, 0.0);
        for (row, x) in x.chunks(2048).enumerate() {
            for output in 0..64 {
                let weight = |k| f64::from(plain.scale(output, k)) * f64::from(plain.integer(output, k));
                let should: f64 = (0..2048).map(|k| weight(k) * f64::from(x[k])).sum();
                error += (should - f64::from(y[row * 64 + output])).powi(2);
                size += should * should;
            }
        }
        let relative = (error / size).sqrt();
        assert!(relative < most, "{shape:?}: {relative:.2e}");
    }
}

#[test]
fn a_gated_product_is_two_products() {
    for half in [16, 40] {
        for kind in kinds(half, 200) {
            let mut chance = Chance::new(3);
            let gate = Plain::new(kind, &mut chance, usual_scale);
            let up = Plain::new(kind, &mut chance, usual_scale);
            let shape = Shape::new(2 * half, 200, kind.block(), kind.bits(), kind.has_zero_points()).unwrap();
            let both = packed(shape, Arrangement::Interleaved, &[gate.source(), up.source()]);
            let x: Vec<f32> = (0..11 * 200).map(|_| chance.gauss()).collect();
            let mut scratch = Scratch::new();
            for isa in Isa::available() {
                for activation in [Activation::Silu, Activation::GeluTanh, Activation::GeluErf] {
                    let mut y = vec![f32::NAN; 11 * half];
                    let inputs = (isa, activation, &x);
                    both.multiply_gated(inputs.0, inputs.1, inputs.2, &mut y, &mut scratch, &Threads(2))
                        .unwrap();
                    let mut gates = vec![f32::NAN; 11 * half];
                    let mut ups = gates.clone();
                    gate.pack()
                        .multiply(isa, &x, None, &mut gates, &mut scratch, &Serial)
                        .unwrap();
                    up.pack()
                        .multiply(isa, &x, None, &mut ups, &mut scratch, &Serial)
                        .unwrap();
                    let should: Vec<f32> = gates
                        .iter()
                        .zip(&ups)
                        .map(|(gate, up)| activation.apply(*gate) * up)
                        .collect();
                    assert_eq!(y, should, "{isa} {activation:?} {shape:?}");
                }
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    for shape in kinds(300, 100) {
        let mut chance = Chance::new(8);
        let matrix = Plain::new(shape, &mut chance, usual_scale).pack();
        let x: Vec<f32> = (0..21 * 100).map(|_| chance.gauss()).collect();
        for way in ways(&shape) {
            let alone = way.multiply(&matrix, &x, None, &Serial);
            assert_eq!(alone, way.multiply(&matrix, &x, None, &Threads(3)));
        }
    }
}

/// Whatever else is multiplied with it, the result of a row is the same to the last bit.
#[test]
#[cfg_attr(miri, ignore = "takes hours")]
fn other_rows_change_nothing() {
    for shape in kinds(200, 4500) {
        let mut chance = Chance::new(12);
        let matrix = Plain::new(shape, &mut chance, usual_scale).pack();
        let x: Vec<f32> = (0..19 * 4500).map(|_| chance.gauss()).collect();
        for way in ways(&shape) {
            let together = way.multiply(&matrix, &x, None, &Threads(2));
            for (x, together) in x.chunks(4500).zip(together.chunks(200)) {
                assert_eq!(way.multiply(&matrix, x, None, &Serial), together, "{}", way.name);
            }
        }
    }
}
