//! 64-bit ARM with products of 8-bit matrices: an instruction multiplies two rows of weights with
//! two rows of activations, eight columns of each. Weights and activations have to be brought
//! together for it first, which up to three rows are not worth.
//!
//! Sums of a couple of weight rows `w` and a pair of activation rows `a` lie in a register as
//! `w0 a0, w0 a1, w1 a0, w1 a1`.

use std::arch::aarch64::*;
use std::arch::asm;

use super::neon::{halves, stored_zeros, whole, widened};
use super::{Bits, LONGEST_UNIT, MOST_ROWS, Sums, Work};

super::table!(
    whole::<1>,
    whole::<2>,
    halves::<3>,
    each::<4>,
    each::<5>,
    each::<6>,
    each::<7>,
    each::<8>
);

/// Pairs of activation rows; the last one of an odd number is a row twice.
const MOST_PAIRS: usize = MOST_ROWS / 2;

/// Couples of weight rows in the half of a panel.
const COUPLES: usize = 4;

/// One half of the panel after the other: more sums do not fit into 32 registers.
#[target_feature(enable = "neon,dotprod,i8mm")]
fn each<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    work: &Work<'_>,
    sums: &mut Sums,
) {
    tile::<ROWS, BITS, UNIT, ZERO_POINTS>(0, work, sums);
    tile::<ROWS, BITS, UNIT, ZERO_POINTS>(2, work, sums);
}

/// The half of the panel that begins with quarter `first`.
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn tile<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    first: usize,
    work: &Work<'_>,
    sums: &mut Sums,
) {
    work.check(
        ROWS,
        if BITS == 4 { Bits::Four } else { Bits::Eight },
        UNIT,
        ZERO_POINTS,
    );
    assert!(first + 2 <= 4, "a panel has four quarters");
    assert!(ROWS <= MOST_ROWS, "as many sums");
    let pairs = ROWS.div_ceil(2);
    let units = if UNIT < LONGEST_UNIT { 1 } else { work.block / UNIT };
    let mut record = work.records.as_ptr();
    let mut zero_points = work.zero_points.as_ptr();
    let mut values = work.values.as_ptr();
    let (mut scales, mut offsets) = (work.scales.as_ptr(), work.offsets.as_ptr());
    let mut totals = loaded::<ROWS>(first, sums);
    for _ in 0..work.pairs {
        let mut word = record.wrapping_add(64);
        for block in 0..2 {
            // SAFETY: `check` found as many records, zero points, activations, scales and offsets
            // as this loop passes; of the four quarters of each only `first` and the next one are
            // read.
            unsafe {
                let at = if BITS == 4 {
                    zero_points
                } else {
                    zero_points.wrapping_add(block * 16)
                };
                let at = at.wrapping_add(first * 4);
                let mut dots = begun::<ROWS, BITS, ZERO_POINTS>(at, block, offsets);
                for _ in 0..units {
                    for eight in 0..UNIT / 8 {
                        let words = word.add(eight * BITS * 16 + first * 16);
                        let weights = weights::<BITS>(words);
                        for pair in 0..pairs {
                            let values =
                                rows::<ROWS>(pair).map(|row| vld1_s8(values.add(row * UNIT + eight * 8)));
                            let values = vcombine_s8(values[0], values[1]);
                            for couple in 0..COUPLES {
                                let dots = &mut dots[pair][couple];
                                *dots = products(*dots, weights[couple], values);
                            }
                        }
                    }
                    word = word.add(UNIT * BITS * 2);
                    values = values.add(ROWS * UNIT);
                }
                let weight_scales = record.add(block * 32 + first * 8);
                add::<ROWS>(&mut totals, &dots, weight_scales.cast(), scales);
                scales = scales.add(ROWS);
                offsets = offsets.add(ROWS);
            }
        }
        record = word;
        zero_points = zero_points.wrapping_add(4 * BITS);
    }
    store::<ROWS>(first, &totals, sums);
}

type Totals = [[float32x4_t; COUPLES]; MOST_PAIRS];

type Dots = [[int32x4_t; COUPLES]; MOST_PAIRS];

/// The rows of a pair.
#[inline]
fn rows<const ROWS: usize>(pair: usize) -> [usize; 2] {
    [2 * pair, (2 * pair + 1).min(ROWS - 1)]
}

#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon")]
fn loaded<const ROWS: usize>(first: usize, sums: &Sums) -> Totals {
    let mut totals = [[vdupq_n_f32(0.0); COUPLES]; MOST_PAIRS];
    for pair in 0..ROWS.div_ceil(2) {
        for quarter in 0..2 {
            let [one, other] = rows::<ROWS>(pair).map(|row| {
                let sums = &sums.0[row][(first + quarter) * 4..][..4];
                // SAFETY: there are 4 elements.
                unsafe { vld1q_f32(sums.as_ptr()) }
            });
            totals[pair][2 * quarter] = vzip1q_f32(one, other);
            totals[pair][2 * quarter + 1] = vzip2q_f32(one, other);
        }
    }
    totals
}

#[inline]
#[expect(unsafe_code, reason = "stores of whole registers")]
#[target_feature(enable = "neon")]
fn store<const ROWS: usize>(first: usize, totals: &Totals, sums: &mut Sums) {
    for pair in 0..ROWS.div_ceil(2) {
        for quarter in 0..2 {
            let (one, other) = (totals[pair][2 * quarter], totals[pair][2 * quarter + 1]);
            let results = [vuzp1q_f32(one, other), vuzp2q_f32(one, other)];
            for (row, result) in rows::<ROWS>(pair).into_iter().zip(results) {
                let out = &mut sums.0[row][(first + quarter) * 4..][..4];
                // SAFETY: there are 4 elements.
                unsafe { vst1q_f32(out.as_mut_ptr(), result) };
            }
        }
    }
}

/// What the stored weights are too large by, times the activations.
///
/// # Safety
///
/// An offset for each row can be read, and with zero points those of two quarters.
#[inline]
#[expect(unsafe_code, reason = "reads behind pointers")]
#[target_feature(enable = "neon,dotprod,i8mm")]
unsafe fn begun<const ROWS: usize, const BITS: usize, const ZERO_POINTS: bool>(
    zero_points: *const u8,
    block: usize,
    offsets: *const i32,
) -> Dots {
    let mut dots = [[vdupq_n_s32(0); COUPLES]; MOST_PAIRS];
    for pair in 0..ROWS.div_ceil(2) {
        // SAFETY: the caller's promise.
        dots[pair] = [unsafe { both::<ROWS>(offsets, pair) }; COUPLES];
    }
    if ZERO_POINTS {
        for quarter in 0..2 {
            // SAFETY: the caller's promise.
            let zeros = unsafe { stored_zeros::<BITS>(zero_points.add(quarter * 4), block) };
            for (couple, zeros) in doubled(zeros).into_iter().enumerate() {
                for pair in 0..ROWS.div_ceil(2) {
                    let dots = &mut dots[pair][2 * quarter + couple];
                    let offsets = vshrq_n_s32::<16>(vshlq_n_s32::<16>(*dots));
                    *dots = vmulq_s32(zeros, offsets);
                }
            }
        }
    }
    dots
}

/// Adds a block's dot products with their scales.
///
/// # Safety
///
/// The scales of two quarters can be read, and one for each row of activations.
#[inline]
#[expect(unsafe_code, reason = "reads behind pointers")]
#[target_feature(enable = "neon,dotprod,i8mm")]
unsafe fn add<const ROWS: usize>(
    totals: &mut Totals,
    dots: &Dots,
    weight_scales: *const u16,
    scales: *const f32,
) {
    for quarter in 0..2 {
        // SAFETY: the caller's promise.
        let weight_scales = widened(unsafe { vld1_u16(weight_scales.add(quarter * 4)) });
        let weight_scales = doubled(vreinterpretq_s32_f32(weight_scales));
        for (couple, weight_scales) in weight_scales.into_iter().enumerate() {
            let weight_scales = vreinterpretq_f32_s32(weight_scales);
            let couple = 2 * quarter + couple;
            for pair in 0..ROWS.div_ceil(2) {
                // SAFETY: the caller's promise.
                let scales = unsafe { both::<ROWS>(scales.cast(), pair) };
                let scale = vmulq_f32(weight_scales, vreinterpretq_f32_s32(scales));
                let total = &mut totals[pair][couple];
                *total = vfmaq_f32(*total, vcvtq_f32_s32(dots[pair][couple]), scale);
            }
        }
    }
}

/// Eight columns of each couple of weight rows.
///
/// # Safety
///
/// Two quarters of the words that have eight columns can be read from `word`.
#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon")]
unsafe fn weights<const BITS: usize>(word: *const u8) -> [uint8x16_t; COUPLES] {
    let mut weights = [vdupq_n_u8(0); COUPLES];
    for quarter in 0..2 {
        // SAFETY: the caller's promise.
        let stored = unsafe { vld1q_u8(word.add(quarter * 16)) };
        // Four columns of four rows, and the next four.
        let (columns, next) = if BITS == 4 {
            (vandq_u8(stored, vdupq_n_u8(15)), vshrq_n_u8::<4>(stored))
        } else {
            // SAFETY: the caller's promise.
            (stored, unsafe { vld1q_u8(word.add(64 + quarter * 16)) })
        };
        let (columns, next) = (vreinterpretq_u32_u8(columns), vreinterpretq_u32_u8(next));
        weights[2 * quarter] = vreinterpretq_u8_u32(vzip1q_u32(columns, next));
        weights[2 * quarter + 1] = vreinterpretq_u8_u32(vzip2q_u32(columns, next));
    }
    weights
}

/// Of four numbers of weight rows those of each couple, each number twice.
#[inline]
#[target_feature(enable = "neon")]
fn doubled(numbers: int32x4_t) -> [int32x4_t; 2] {
    [vzip1q_s32(numbers, numbers), vzip2q_s32(numbers, numbers)]
}

/// The numbers of a pair of activation rows, twice.
///
/// # Safety
///
/// A number for each of the rows can be read.
#[inline]
#[expect(unsafe_code, reason = "reads behind a pointer")]
#[target_feature(enable = "neon")]
unsafe fn both<const ROWS: usize>(numbers: *const i32, pair: usize) -> int32x4_t {
    let [one, other] = rows::<ROWS>(pair);
    // SAFETY: the caller's promise.
    unsafe {
        if one == other {
            vld1q_dup_s32(numbers.add(one))
        } else {
            let pair = vld1_s32(numbers.add(one));
            vcombine_s32(pair, pair)
        }
    }
}

/// Adds to each lane the product of a row of weights and a row of activations.
#[inline]
#[expect(unsafe_code, reason = "an instruction that has no stable function")]
#[target_feature(enable = "neon,dotprod,i8mm")]
fn products(sums: int32x4_t, weights: uint8x16_t, values: int8x16_t) -> int32x4_t {
    let out: int32x4_t;
    // SAFETY: works on these registers only, and the instruction is there.
    unsafe {
        asm!(
            "usmmla {sums:v}.4s, {weights:v}.16b, {values:v}.16b",
            sums = inout(vreg) sums => out,
            weights = in(vreg) weights,
            values = in(vreg) values,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    out
}
