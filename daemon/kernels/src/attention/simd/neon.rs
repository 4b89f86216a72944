//! Quadruples of vectors of 128 bits.

use super::{LANES, Simd};
use std::arch::aarch64::*;

super::proof!(Neon, "neon", is_aarch64_feature_detected("neon"));

/// Lanes 0 to 3, 4 to 7, 8 to 11 and 12 to 15.
#[derive(Clone, Copy)]
pub(super) struct Quarters([float32x4_t; 4]);

/// Computes each quarter, whose number is `$quarter`.
macro_rules! quarters {
    ($quarter:ident => $number:expr) => {
        super::vouched!({
            let mut quarters = [vdupq_n_f32(0.0); 4];
            let mut $quarter = 0;
            while $quarter < 4 {
                quarters[$quarter] = $number;
                $quarter += 1;
            }
            Quarters(quarters)
        })
    };
}

impl Simd for Neon {
    type Vector = Quarters;

    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, number: f32) -> Quarters {
        Quarters([super::vouched!(vdupq_n_f32(number)); 4])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Quarters {
        quarters!(at => vld1q_f32(from.as_ptr().add(at * 4)))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; LANES]) -> Quarters {
        quarters!(at => vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.as_ptr().add(at * 4)))))
    }

    #[inline(always)]
    fn load_byte(self, from: &[i8; LANES]) -> Quarters {
        super::vouched!({
            let bytes = vld1q_s8(from.as_ptr());
            let (lower, upper) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            Quarters([
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(lower))),
                vcvtq_f32_s32(vmovl_high_s16(lower)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(upper))),
                vcvtq_f32_s32(vmovl_high_s16(upper)),
            ])
        })
    }

    #[inline(always)]
    fn store(self, vector: Quarters, to: &mut [f32; LANES]) {
        super::vouched!(for (at, quarter) in vector.0.into_iter().enumerate() {
            vst1q_f32(to.as_mut_ptr().add(at * 4), quarter);
        });
    }

    #[inline(always)]
    fn store_half(self, vector: Quarters, to: &mut [u16; LANES]) {
        super::vouched!(for (at, quarter) in vector.0.into_iter().enumerate() {
            let halves = vreinterpret_u16_f16(vcvt_f16_f32(quarter));
            vst1_u16(to.as_mut_ptr().add(at * 4), halves);
        });
    }

    #[inline(always)]
    fn add(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vaddq_f32(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn subtract(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vsubq_f32(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn multiply(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vmulq_f32(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn divide(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vdivq_f32(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn multiply_add(self, a: Quarters, b: Quarters, c: Quarters) -> Quarters {
        quarters!(at => vfmaq_f32(c.0[at], a.0[at], b.0[at]))
    }

    // The processor's own greater and smaller one are not a number where either is none.

    #[inline(always)]
    fn max(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vbslq_f32(vcgtq_f32(a.0[at], b.0[at]), a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn min(self, a: Quarters, b: Quarters) -> Quarters {
        quarters!(at => vbslq_f32(vcltq_f32(a.0[at], b.0[at]), a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn exponent_bits(self, vector: Quarters) -> Quarters {
        quarters!(at => {
            vreinterpretq_f32_u32(vshlq_n_u32::<23>(vreinterpretq_u32_f32(vector.0[at])))
        })
    }

    #[inline(always)]
    fn zero_below(self, vector: Quarters, limit: f32, then: Quarters) -> Quarters {
        quarters!(at => {
            let below = vcltq_f32(vector.0[at], vdupq_n_f32(limit));
            vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(then.0[at]), below))
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T) {
        // There is no stable function for the instruction.
        super::vouched!(std::arch::asm!(
            "prfm pldl1keep, [{from}]",
            from = in(reg) std::ptr::from_ref(from),
            options(readonly, nostack, preserves_flags),
        ));
    }
}
