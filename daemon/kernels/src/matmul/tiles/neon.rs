//! 64-bit ARM with dot products: a panel's 16 rows are the lanes of four registers.
//!
//! These are written out: the compiler's functions for them are not stable.

use std::arch::aarch64::*;
use std::arch::asm;

use super::{Bits, LONGEST_UNIT, Sums, Work};

super::table!(whole::<1>, whole::<2>, halves::<3>, halves::<4>);

/// All four quarters of the panel at once.
#[target_feature(enable = "neon,dotprod")]
pub(super) fn whole<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    work: &Work<'_>,
    sums: &mut Sums,
) {
    tile::<ROWS, BITS, UNIT, ZERO_POINTS, 4>(0, work, sums);
}

/// Two quarters, then the other two: more rows than that do not fit into 32 registers.
#[target_feature(enable = "neon,dotprod")]
pub(super) fn halves<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    work: &Work<'_>,
    sums: &mut Sums,
) {
    tile::<ROWS, BITS, UNIT, ZERO_POINTS, 2>(0, work, sums);
    tile::<ROWS, BITS, UNIT, ZERO_POINTS, 2>(2, work, sums);
}

#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon,dotprod")]
fn tile<
    const ROWS: usize,
    const BITS: usize,
    const UNIT: usize,
    const ZERO_POINTS: bool,
    const QUARTERS: usize,
>(
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
    assert!(first + QUARTERS <= 4, "a panel has four quarters");
    let units = if UNIT < LONGEST_UNIT { 1 } else { work.block / UNIT };
    let mut record = work.records.as_ptr();
    let mut zero_points = work.zero_points.as_ptr();
    let mut values = work.values.as_ptr();
    let (mut scales, mut offsets) = (work.scales.as_ptr(), work.offsets.as_ptr());
    let mut totals = [[vdupq_n_f32(0.0); QUARTERS]; ROWS];
    for row in 0..ROWS {
        for quarter in 0..QUARTERS {
            let sums = &sums.0[row][(first + quarter) * 4..][..4];
            // SAFETY: there are 4 elements.
            totals[row][quarter] = unsafe { vld1q_f32(sums.as_ptr()) };
        }
    }
    for _ in 0..work.pairs {
        let mut word = record.wrapping_add(64);
        for block in 0..2 {
            // SAFETY: `check` found as many records, zero points, activations, scales and offsets
            // as this loop passes; of the four quarters of each only `first` and the next
            // `QUARTERS - 1` are read.
            unsafe {
                let mut dots = [[vdupq_n_s32(0); QUARTERS]; ROWS];
                for quarter in 0..QUARTERS {
                    if ZERO_POINTS {
                        let at = if BITS == 4 {
                            zero_points
                        } else {
                            zero_points.add(block * 16)
                        };
                        let zero = zeros::<BITS>(at.add((first + quarter) * 4), block);
                        for row in 0..ROWS {
                            let offset = i32::from(*offsets.add(row) as i16);
                            dots[row][quarter] = vmulq_n_s32(zero, offset);
                        }
                    } else if BITS == 4 {
                        for row in 0..ROWS {
                            dots[row][quarter] = vdupq_n_s32(*offsets.add(row));
                        }
                    }
                }
                for _ in 0..units {
                    for sixteen in 0..UNIT / 16 {
                        let words = word.add(sixteen * BITS * 32 + first * 16);
                        let values = values.add(sixteen * 16);
                        if BITS == 4 {
                            sixteen4::<ROWS, UNIT, QUARTERS>(words, values, &mut dots);
                        } else {
                            sixteen8::<ROWS, UNIT, QUARTERS>(words, values, &mut dots);
                        }
                    }
                    word = word.add(UNIT * BITS * 2);
                    values = values.add(ROWS * UNIT);
                }
                for quarter in 0..QUARTERS {
                    let at = record.add(block * 32 + (first + quarter) * 8);
                    let weight_scales = widened(vld1_u16(at.cast()));
                    for row in 0..ROWS {
                        let scale = vmulq_n_f32(weight_scales, *scales.add(row));
                        let dots = vcvtq_f32_s32(dots[row][quarter]);
                        totals[row][quarter] = vfmaq_f32(totals[row][quarter], dots, scale);
                    }
                }
                scales = scales.add(ROWS);
                offsets = offsets.add(ROWS);
            }
        }
        record = word;
        zero_points = zero_points.wrapping_add(4 * BITS);
    }
    for row in 0..ROWS {
        for quarter in 0..QUARTERS {
            let out = &mut sums.0[row][(first + quarter) * 4..][..4];
            // SAFETY: there are 4 elements.
            unsafe { vst1q_f32(out.as_mut_ptr(), totals[row][quarter]) };
        }
    }
}

/// The zero points of 4 rows, less the 128 that [`sixteen8`] takes off itself.
///
/// # Safety
///
/// 4 bytes can be read there.
#[inline]
#[expect(unsafe_code, reason = "reading behind a pointer")]
#[target_feature(enable = "neon")]
unsafe fn zeros<const BITS: usize>(at: *const u8, block: usize) -> int32x4_t {
    // SAFETY: the caller's promise.
    let stored = unsafe { stored_zeros::<BITS>(at, block) };
    let middle = if BITS == 4 { 0 } else { 128 };
    vsubq_s32(stored, vdupq_n_s32(middle))
}

/// The zero points of 4 rows.
///
/// # Safety
///
/// 4 bytes can be read there.
#[inline]
#[expect(unsafe_code, reason = "an unaligned load")]
#[target_feature(enable = "neon")]
pub(super) unsafe fn stored_zeros<const BITS: usize>(at: *const u8, block: usize) -> int32x4_t {
    // SAFETY: the caller's promise.
    let bytes = vcreate_u8(u64::from(unsafe { at.cast::<u32>().read_unaligned() }));
    let stored = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
    match (BITS, block) {
        (4, 0) => vandq_s32(stored, vdupq_n_s32(15)),
        (4, _) => vshrq_n_s32::<4>(stored),
        _ => stored,
    }
}

/// The dot products of 16 columns with weights of 4 bits.
///
/// # Safety
///
/// Two words of weights can be read from `word`, 16 activations for each row from `values`.
#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sixteen4<const ROWS: usize, const UNIT: usize, const QUARTERS: usize>(
    word: *const u8,
    values: *const i8,
    dots: &mut [[int32x4_t; QUARTERS]; ROWS],
) {
    let low = vdupq_n_u8(15);
    for quarter in 0..QUARTERS {
        // SAFETY: the caller's promise.
        let (first, second) = unsafe {
            (
                vld1q_u8(word.add(quarter * 16)),
                vld1q_u8(word.add(64 + quarter * 16)),
            )
        };
        let (even, odd) = (vandq_u8(first, low), vshrq_n_u8::<4>(first));
        let (next_even, next_odd) = (vandq_u8(second, low), vshrq_n_u8::<4>(second));
        for row in 0..ROWS {
            // SAFETY: the caller's promise.
            let values = unsafe { vld1q_s8(values.add(row * UNIT)) };
            let dot = &mut dots[row][quarter];
            *dot = dot_of::<0>(*dot, vreinterpretq_s8_u8(even), values);
            *dot = dot_of::<1>(*dot, vreinterpretq_s8_u8(odd), values);
            *dot = dot_of::<2>(*dot, vreinterpretq_s8_u8(next_even), values);
            *dot = dot_of::<3>(*dot, vreinterpretq_s8_u8(next_odd), values);
        }
    }
}

/// The dot products of 16 columns with weights of 8 bits, less 128.
///
/// # Safety
///
/// Four words of weights can be read from `word`, 16 activations for each row from `values`.
#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon,dotprod")]
unsafe fn sixteen8<const ROWS: usize, const UNIT: usize, const QUARTERS: usize>(
    word: *const u8,
    values: *const i8,
    dots: &mut [[int32x4_t; QUARTERS]; ROWS],
) {
    for quarter in 0..QUARTERS {
        let weights: [int8x16_t; 4] = std::array::from_fn(|at| {
            // SAFETY: the caller's promise.
            let stored = unsafe { vld1q_u8(word.add(at * 64 + quarter * 16)) };
            vreinterpretq_s8_u8(veorq_u8(stored, vdupq_n_u8(128)))
        });
        for row in 0..ROWS {
            // SAFETY: the caller's promise.
            let values = unsafe { vld1q_s8(values.add(row * UNIT)) };
            let dot = &mut dots[row][quarter];
            *dot = dot_of::<0>(*dot, weights[0], values);
            *dot = dot_of::<1>(*dot, weights[1], values);
            *dot = dot_of::<2>(*dot, weights[2], values);
            *dot = dot_of::<3>(*dot, weights[3], values);
        }
    }
}

/// Adds to each lane of `sums` the dot product of its four weights with the four values of `LANE`.
#[inline]
#[expect(unsafe_code, reason = "an instruction that has no stable function")]
#[target_feature(enable = "neon,dotprod")]
fn dot_of<const LANE: i32>(mut sums: int32x4_t, weights: int8x16_t, values: int8x16_t) -> int32x4_t {
    // SAFETY: works on these registers only, and the processor has the instruction.
    unsafe {
        asm!(
            "sdot {sums:v}.4s, {weights:v}.16b, {values:v}.4b[{lane}]",
            sums = inout(vreg) sums,
            weights = in(vreg) weights,
            values = in(vreg) values,
            lane = const LANE,
            options(pure, nomem, nostack, preserves_flags),
        );
    }
    sums
}

/// Four numbers in fp16 as fp32.
#[inline]
#[target_feature(enable = "neon")]
pub(super) fn widened(numbers: uint16x4_t) -> float32x4_t {
    vcvt_f32_f16(vreinterpret_f16_u16(numbers))
}
