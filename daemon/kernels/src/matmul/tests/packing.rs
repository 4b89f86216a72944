//! What is packed comes out again.

use half::{bf16, f16};
use proptest::prelude::*;

use super::case::{Aligned, Chance, Plain, packed, usual_scale};
use crate::matmul::{Arrangement, Bits, Matrix, Scales, Shape, Source, pack};
use crate::{Serial, Threads};

fn row(matrix: &Matrix<Aligned>, row: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; matrix.shape().columns()];
    matrix.row(row, &mut out).unwrap();
    out
}

fn shape(rows: usize, columns: usize, block: usize, bits: Bits, zero_points: bool) -> Shape {
    Shape::new(rows, columns, block, bits, zero_points).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 100 }) })]

    #[test]
    fn weights_with_scales_in_fp16_come_out_as_they_were(
        rows in 1..70_usize, columns in 1..400_usize, power in 4..9_u32, is_four: bool, zero_points: bool, seed: u64,
    ) {
        let bits = if is_four { Bits::Four } else { Bits::Eight };
        let shape = shape(rows, columns, 1 << power, bits, zero_points);
        let plain = Plain::new(shape, &mut Chance::new(seed), usual_scale);
        let matrix = plain.pack();
        for number in 0..rows {
            for (column, is) in row(&matrix, number).into_iter().enumerate() {
                let should = plain.integer(number, column) as f32 * plain.scale(number, column);
                prop_assert_eq!(is, should);
            }
        }
    }

    /// Whatever the size of a row's scales is, those within a factor of four million are as exact
    /// as fp16 is, and the others do not count.
    #[test]
    fn scales_of_any_size_keep_their_digits(exponent in -60..120_i32, sizes in 0..40_i32, seed: u64) {
        let shape = shape(3, 200, 16, Bits::Four, false);
        let mut chance = Chance::new(seed);
        let plain = Plain::new(shape, &mut chance, |chance| {
            let lower = chance.next() % (sizes as u64 + 1);
            (1.0 + chance.unit()) * 2.0_f32.powi(exponent - lower as i32)
        });
        let matrix = plain.pack();
        for number in 0..3 {
            let scales = &plain.scales[number * shape.blocks()..(number + 1) * shape.blocks()];
            let largest = f64::from(scales.iter().copied().fold(0.0, f32::max));
            for (column, is) in row(&matrix, number).into_iter().enumerate() {
                let scale = f64::from(plain.scale(number, column));
                let should = f64::from(plain.integer(number, column)) * scale;
                let bound = should.abs() / 2048.0 + 8.0 * largest * 2.0_f64.powi(-33);
                prop_assert!((f64::from(is) - should).abs() <= bound, "{is} is not {should}");
            }
        }
    }
}

#[test]
fn scales_of_every_type_are_read() {
    let shape = shape(5, 64, 32, Bits::Four, false);
    let mut plain = Plain::new(shape, &mut Chance::new(4), usual_scale);
    let short: Vec<bf16> = plain.scales.iter().map(|scale| bf16::from_f32(*scale)).collect();
    plain.scales = short.iter().map(|scale| scale.to_f32()).collect();
    let half: Vec<f16> = plain.scales.iter().map(|scale| f16::from_f32(*scale)).collect();
    let expected = plain.pack();
    for scales in [Scales::F16(&half), Scales::Bf16(&short)] {
        let source = Source {
            scales,
            ..plain.source()
        };
        let is = packed(shape, Arrangement::Stacked, &[source]);
        assert_eq!(is.packed().unwrap(), expected.packed().unwrap());
    }
}

#[test]
fn stacked_matrices_follow_each_other() {
    for (bits, zero_points) in [(Bits::Four, true), (Bits::Eight, false)] {
        let mut chance = Chance::new(6);
        let parts: Vec<Plain> = [37, 5, 16]
            .into_iter()
            .map(|rows| Plain::new(shape(rows, 90, 32, bits, zero_points), &mut chance, usual_scale))
            .collect();
        let sources: Vec<Source<'_>> = parts.iter().map(Plain::source).collect();
        let whole = packed(
            shape(58, 90, 32, bits, zero_points),
            Arrangement::Stacked,
            &sources,
        );
        let mut number = 0;
        for part in &parts {
            let matrix = part.pack();
            for of_part in 0..part.shape.rows() {
                assert_eq!(row(&whole, number), row(&matrix, of_part));
                number += 1;
            }
        }
    }
}

#[test]
fn interleaved_matrices_are_found_one_after_the_other() {
    for half in [16, 21] {
        let mut chance = Chance::new(9);
        let kind = shape(half, 90, 32, Bits::Four, true);
        let (gate, up) = (
            Plain::new(kind, &mut chance, usual_scale),
            Plain::new(kind, &mut chance, usual_scale),
        );
        let both = shape(2 * half, 90, 32, Bits::Four, true);
        let both = packed(both, Arrangement::Interleaved, &[gate.source(), up.source()]);
        for number in 0..half {
            assert_eq!(row(&both, number), row(&gate.pack(), number));
            assert_eq!(row(&both, half + number), row(&up.pack(), number));
        }
    }
}

/// Parts of a merged matrix may be symmetric and others not.
#[test]
fn without_zero_points_of_its_own_a_source_has_the_middle() {
    for bits in [Bits::Four, Bits::Eight] {
        let mut plain = Plain::new(shape(20, 70, 16, bits, true), &mut Chance::new(2), usual_scale);
        plain.zero_points = None;
        let symmetric = Plain {
            shape: shape(20, 70, 16, bits, false),
            ..plain.clone()
        };
        for number in 0..20 {
            assert_eq!(row(&plain.pack(), number), row(&symmetric.pack(), number));
        }
    }
}

#[test]
fn threads_pack_the_same_bytes() {
    let shape = shape(333, 100, 32, Bits::Four, true);
    let plain = Plain::new(shape, &mut Chance::new(2), usual_scale);
    let mut out = Aligned::new(shape.packed_bytes(Arrangement::Stacked));
    pack(
        shape,
        Arrangement::Stacked,
        &[plain.source()],
        out.bytes(),
        &Threads(3),
    )
    .unwrap();
    assert_eq!(out.as_ref(), plain.pack().packed().unwrap());
    let again = shape.packed_bytes(Arrangement::Stacked);
    let mut serial = Aligned::new(again);
    pack(
        shape,
        Arrangement::Stacked,
        &[plain.source()],
        serial.bytes(),
        &Serial,
    )
    .unwrap();
    assert_eq!(out.as_ref(), serial.as_ref());
}
