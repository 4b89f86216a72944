//! Sizes and slices that disagree.

use super::case::{Aligned, Chance, Plain, usual_scale};
use crate::matmul::{
    Activation, Arrangement, Bits, MatmulError, Matrix, Scales, Scratch, Shape, Source, pack,
};
use crate::{Isa, Serial};

const STACKED: Arrangement = Arrangement::Stacked;

fn plain(rows: usize, zero_points: bool) -> Plain {
    let shape = Shape::new(rows, 70, 32, Bits::Four, zero_points).unwrap();
    Plain::new(shape, &mut Chance::new(1), usual_scale)
}

fn pack_error(shape: Shape, arrangement: Arrangement, sources: &[Source<'_>]) -> MatmulError {
    let mut out = Aligned::new(shape.packed_bytes(arrangement));
    pack(shape, arrangement, sources, out.bytes(), &Serial).unwrap_err()
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    for block in [0, 1, 8, 24, 48, 512, usize::MAX] {
        let error = Shape::new(4, 4, block, Bits::Four, false).unwrap_err();
        assert_eq!(error, MatmulError::Block(block));
    }
    let most = usize::MAX;
    for (rows, columns) in [
        (0, 4),
        (4, 0),
        (most, 1),
        (1, most),
        (most / 2, 2),
        (1 << 31, 1 << 31),
    ] {
        for bits in [Bits::Four, Bits::Eight] {
            let error = Shape::new(rows, columns, 256, bits, true).unwrap_err();
            assert_eq!(error, MatmulError::Size { rows, columns });
        }
    }
}

#[test]
fn the_largest_shapes_do_not_overflow() {
    for columns in [1, 16, 4096, 1 << 40] {
        let mut rows = usize::MAX / 2;
        while rows > 1 {
            for (bits, block) in [(Bits::Four, 16), (Bits::Eight, 16), (Bits::Eight, 256)] {
                if let Ok(shape) = Shape::new(rows, columns, block, bits, true) {
                    let bytes = shape.packed_bytes(STACKED) as u128;
                    let panels = rows.div_ceil(16) as u128;
                    assert_eq!(bytes, panels * shape.panel_bytes() as u128);
                    assert!(isize::try_from(shape.packed_bytes(Arrangement::Interleaved)).is_ok());
                }
            }
            rows /= 2;
        }
    }
}

#[test]
fn sources_of_other_lengths_are_refused() {
    let plain = plain(10, true);
    let good = plain.source();
    let shape = plain.shape;
    let short = |length: usize| length - 1;
    let zero_points = good.zero_points.unwrap();
    let scales = Scales::F32(&plain.scales[..short(plain.scales.len())]);
    for bad in [
        Source {
            weights: &good.weights[..short(good.weights.len())],
            ..good
        },
        Source { weights: &[], ..good },
        Source { scales, ..good },
        Source {
            scales: Scales::F16(&[]),
            ..good
        },
        Source {
            zero_points: Some(&zero_points[..short(zero_points.len())]),
            ..good
        },
        Source { rows: 9, ..good },
        Source {
            rows: usize::MAX,
            ..good
        },
    ] {
        let error = pack_error(shape, STACKED, &[bad]);
        assert!(matches!(error, MatmulError::Length { .. }), "{error}");
    }
    let overflowing = Source {
        rows: usize::MAX - 5,
        ..good
    };
    let error = pack_error(shape, STACKED, &[overflowing, Source { rows: 16, ..good }]);
    assert!(
        matches!(
            error,
            MatmulError::Length {
                what: "rows of all sources",
                ..
            }
        ),
        "{error}"
    );
    for length in [0, shape.packed_bytes(STACKED) + 64] {
        let mut out = Aligned::new(length);
        let error = pack(shape, STACKED, &[good], out.bytes(), &Serial).unwrap_err();
        assert!(
            matches!(
                error,
                MatmulError::Length {
                    what: "packed bytes",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn scales_that_are_not_finite_are_refused() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut plain = plain(10, false);
        plain.scales[3 * 7 + 2] = bad;
        let error = pack_error(plain.shape, STACKED, &[plain.source()]);
        assert_eq!(error, MatmulError::Scale { row: 7, block: 2 });
    }
}

#[test]
fn zero_points_need_room() {
    let (with, without) = (plain(10, true), plain(10, false));
    let error = pack_error(without.shape, STACKED, &[with.source()]);
    assert_eq!(error, MatmulError::ZeroPoints);
}

#[test]
fn gate_and_up_are_two_of_the_same_size() {
    let (ten, eight, nine) = (plain(10, false), plain(8, false), plain(9, false));
    let both = plain(18, false).shape;
    let interleaved = Arrangement::Interleaved;
    for sources in [&[ten.source(), eight.source()][..], &[plain(18, false).source()]] {
        assert_eq!(pack_error(both, interleaved, sources), MatmulError::Halves(9));
    }
    let odd = nine.shape;
    assert_eq!(
        pack_error(odd, interleaved, &[nine.source()]),
        MatmulError::Halves(4)
    );
    let error = Matrix::open(odd, interleaved, Aligned::new(odd.packed_bytes(interleaved))).err();
    assert_eq!(error, Some(MatmulError::Halves(4)));
}

#[test]
fn packed_bytes_of_another_length_or_place_are_refused() {
    let shape = plain(10, false).shape;
    let length = shape.packed_bytes(STACKED);
    for other in [0, length - 64, length + 64] {
        assert!(Matrix::open(shape, STACKED, Aligned::new(other)).is_err());
    }
    let bytes = Aligned::new(length + 64);
    let moved = Matrix::open(shape, STACKED, &bytes.as_ref()[8..length + 8]);
    assert_eq!(moved.err(), Some(MatmulError::Alignment));
}

#[test]
fn products_of_other_lengths_are_refused() {
    let matrix = plain(10, false).pack();
    let mut scratch = Scratch::new();
    let mut multiply = |x: usize, bias: Option<usize>, y: usize| {
        let (x, bias) = (vec![0.0; x], bias.map(|bias| vec![0.0; bias]));
        matrix.multiply(
            Isa::best(),
            &x,
            bias.as_deref(),
            &mut vec![0.0; y],
            &mut scratch,
            &Serial,
        )
    };
    assert_eq!(multiply(140, None, 20), Ok(()));
    assert_eq!(multiply(0, None, 0), Ok(()));
    for (x, bias, y) in [
        (141, None, 20),
        (140, None, 19),
        (140, None, 30),
        (140, Some(9), 20),
        (69, None, 0),
        (0, None, 10),
    ] {
        let error = multiply(x, bias, y).unwrap_err();
        assert!(matches!(error, MatmulError::Length { .. }), "{error}");
    }
    let mut y = [0.0; 5];
    let gated = matrix.multiply_gated(
        Isa::best(),
        Activation::Silu,
        &[0.0; 70],
        &mut y,
        &mut scratch,
        &Serial,
    );
    assert_eq!(gated, Err(MatmulError::Arrangement));
    assert_eq!(matrix.row(10, &mut [0.0; 70]), Err(MatmulError::Row(10)));
    assert!(matches!(
        matrix.row(0, &mut [0.0; 69]),
        Err(MatmulError::Length { .. })
    ));
}

#[test]
fn instructions_that_are_not_there_are_refused() {
    let missing = if cfg!(target_arch = "aarch64") {
        Isa::Avx2
    } else {
        Isa::NeonDot
    };
    let matrix = plain(10, false).pack();
    let error = matrix.multiply(
        missing,
        &[0.0; 70],
        None,
        &mut [0.0; 10],
        &mut Scratch::new(),
        &Serial,
    );
    assert_eq!(error, Err(MatmulError::Unavailable(missing)));
}

/// A damaged file gives wrong numbers, and nothing else.
#[test]
fn any_bytes_can_be_multiplied() {
    for zero_points in [false, true] {
        for bits in [Bits::Four, Bits::Eight] {
            let shape = Shape::new(20, 300, 128, bits, zero_points).unwrap();
            let mut bytes = Aligned::new(shape.packed_bytes(STACKED));
            let mut chance = Chance::new(11);
            bytes.bytes().fill_with(|| chance.next() as u8);
            let matrix = Matrix::open(shape, STACKED, bytes).unwrap();
            for isa in Isa::available() {
                let mut y = vec![0.0; 3 * 20];
                matrix
                    .multiply(isa, &[1.0; 900], None, &mut y, &mut Scratch::new(), &Serial)
                    .unwrap();
            }
            matrix.row(19, &mut [0.0; 300]).unwrap();
        }
    }
}
