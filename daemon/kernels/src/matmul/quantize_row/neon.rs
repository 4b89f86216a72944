//! Quantizes one row of activations with the vectors of 64-bit ARM.

use std::arch::aarch64::*;

use super::{Place, Writer, write_row_with};
use crate::matmul::Bits;

#[target_feature(enable = "neon")]
pub(super) fn write_row(out: &Writer<'_>, place: &Place, x: &[f32]) {
    write_row_with(
        out,
        place,
        x,
        |x| largest(x),
        |x, factor, bits, values| round(x, factor, bits, values),
    );
}

#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "neon")]
fn largest(x: &[f32]) -> u32 {
    let (fours, rest) = x.as_chunks::<4>();
    let mut most = vdupq_n_u32(0);
    for four in fours {
        // SAFETY: there are 4 numbers.
        let numbers = unsafe { vld1q_f32(four.as_ptr()) };
        most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(numbers)));
    }
    rest.iter().fold(vmaxvq_u32(most), |most, number| {
        most.max(number.to_bits() & 0x7fff_ffff)
    })
}

/// Lengths are multiples of 16.
#[inline]
#[expect(unsafe_code, reason = "loads and stores of whole registers")]
#[target_feature(enable = "neon")]
fn round(x: &[f32], factor: f32, bits: Bits, values: &mut [i8]) -> i32 {
    let order: [u8; 16] = match bits {
        Bits::Four => [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15],
        Bits::Eight => [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    };
    // SAFETY: there are 16 numbers.
    let order = unsafe { vld1q_u8(order.as_ptr()) };
    let mut sums = vdupq_n_s32(0);
    for (x, values) in x.as_chunks::<16>().0.iter().zip(values.as_chunks_mut::<16>().0) {
        let mut quarters = [sums; 4];
        for (at, quarter) in quarters.iter_mut().enumerate() {
            // SAFETY: there are 16 numbers.
            let numbers = unsafe { vld1q_f32(x.as_ptr().add(at * 4)) };
            *quarter = vcvtnq_s32_f32(vmulq_n_f32(numbers, factor));
            sums = vaddq_s32(sums, *quarter);
        }
        let [first, second, third, fourth] = quarters;
        let first = vqmovn_high_s32(vqmovn_s32(first), second);
        let second = vqmovn_high_s32(vqmovn_s32(third), fourth);
        let bytes = vqtbl1q_s8(vqmovn_high_s16(vqmovn_s16(first), second), order);
        // SAFETY: there are 16 values.
        unsafe { vst1q_s8(values.as_mut_ptr(), bytes) };
    }
    vaddvq_s32(sums)
}
