//! Activations that are not finite, huge or tiny.

use super::case::{Chance, Plain, Way, usual_scale, ways};
use crate::Serial;
use crate::matmul::{Bits, Shape};

fn shapes() -> Vec<Shape> {
    [
        (16, Bits::Four, true),
        (32, Bits::Four, false),
        (64, Bits::Eight, true),
        (128, Bits::Eight, false),
    ]
    .into_iter()
    .map(|(block, bits, zero_points)| Shape::new(21, 150, block, bits, zero_points).unwrap())
    .collect()
}

fn all_ways(shape: &Shape) -> Vec<Way> {
    let mut all = ways(shape);
    all.push(Way::portable(shape));
    all
}

#[test]
fn what_is_not_finite_makes_its_row_nan_and_no_other() {
    for shape in shapes() {
        let mut chance = Chance::new(1);
        let matrix = Plain::new(shape, &mut chance, usual_scale).pack();
        let good: Vec<f32> = (0..5 * 150).map(|_| chance.gauss()).collect();
        for way in all_ways(&shape) {
            let clean = way.multiply(&matrix, &good, None, &Serial);
            for bad in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                for column in [0, 15, 77, 149] {
                    let mut x = good.clone();
                    x[2 * 150 + column] = bad;
                    let y = way.multiply(&matrix, &x, None, &Serial);
                    assert!(
                        y[42..63].iter().all(|y| y.is_nan()),
                        "{} {bad} {column}",
                        way.name
                    );
                    assert_eq!(y[..42], clean[..42]);
                    assert_eq!(y[63..], clean[63..]);
                }
            }
        }
    }
}

#[test]
fn sizes_far_from_one_are_computed_as_exactly() {
    for shape in shapes() {
        let mut chance = Chance::new(2);
        let matrix = Plain::new(shape, &mut chance, usual_scale).pack();
        let x: Vec<f32> = (0..150).map(|_| chance.gauss()).collect();
        for way in all_ways(&shape) {
            let usual = way.multiply(&matrix, &x, None, &Serial);
            for power in [-90_i32, -40, 40, 100] {
                // Not `powi`, which need not be exact.
                let by = f32::from_bits(((power + 127) as u32) << 23);
                let scaled: Vec<f32> = x.iter().map(|x| x * by).collect();
                let y = way.multiply(&matrix, &scaled, None, &Serial);
                let back: Vec<f32> = y.iter().map(|y| y / by).collect();
                assert_eq!(back, usual, "{} at 2 to the {power}", way.name);
            }
        }
    }
}

#[test]
fn nothing_and_next_to_nothing_give_the_bias() {
    for shape in shapes() {
        let matrix = Plain::new(shape, &mut Chance::new(3), usual_scale).pack();
        let bias: Vec<f32> = (0..21).map(|number| number as f32).collect();
        for way in all_ways(&shape) {
            for size in [0.0, -0.0, 1e-45, 1e-39, -1e-37] {
                let y = way.multiply(&matrix, &[size; 150], Some(&bias), &Serial);
                assert_eq!(y, bias, "{} of {size}", way.name);
            }
        }
    }
}
