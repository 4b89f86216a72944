//! Pairs of vectors of 256 bits.

use super::{LANES, Simd};
use std::arch::x86_64::*;

super::proof!(
    Avx2,
    "avx2,fma,f16c",
    is_x86_feature_detected("avx2", "fma", "f16c")
);

/// Lanes 0 to 7 and 8 to 15.
#[derive(Clone, Copy)]
pub(super) struct Halves([__m256; 2]);

/// Computes each half, whose number is `$half`.
macro_rules! halves {
    ($half:ident => $numbers:expr) => {
        super::vouched!({
            let mut halves = [_mm256_setzero_ps(); 2];
            let mut $half = 0;
            while $half < 2 {
                halves[$half] = $numbers;
                $half += 1;
            }
            Halves(halves)
        })
    };
}

impl Simd for Avx2 {
    type Vector = Halves;

    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, number: f32) -> Halves {
        Halves([super::vouched!(_mm256_set1_ps(number)); 2])
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Halves {
        halves!(at => _mm256_loadu_ps(from.as_ptr().add(at * 8)))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; LANES]) -> Halves {
        halves!(at => _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(at * 8).cast())))
    }

    #[inline(always)]
    fn load_byte(self, from: &[i8; LANES]) -> Halves {
        halves!(at => {
            let bytes = _mm_loadl_epi64(from.as_ptr().add(at * 8).cast());
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes))
        })
    }

    #[inline(always)]
    fn store(self, vector: Halves, to: &mut [f32; LANES]) {
        super::vouched!(for (at, half) in vector.0.into_iter().enumerate() {
            _mm256_storeu_ps(to.as_mut_ptr().add(at * 8), half);
        });
    }

    #[inline(always)]
    fn store_half(self, vector: Halves, to: &mut [u16; LANES]) {
        super::vouched!(for (at, half) in vector.0.into_iter().enumerate() {
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(half);
            _mm_storeu_si128(to.as_mut_ptr().add(at * 8).cast(), halves);
        });
    }

    #[inline(always)]
    fn add(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_add_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn subtract(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_sub_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn multiply(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_mul_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn divide(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_div_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn multiply_add(self, a: Halves, b: Halves, c: Halves) -> Halves {
        halves!(at => _mm256_fmadd_ps(a.0[at], b.0[at], c.0[at]))
    }

    #[inline(always)]
    fn max(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_max_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn min(self, a: Halves, b: Halves) -> Halves {
        halves!(at => _mm256_min_ps(a.0[at], b.0[at]))
    }

    #[inline(always)]
    fn exponent_bits(self, vector: Halves) -> Halves {
        halves!(at => {
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(vector.0[at])))
        })
    }

    #[inline(always)]
    fn zero_below(self, vector: Halves, limit: f32, then: Halves) -> Halves {
        halves!(at => {
            let is_kept = _mm256_cmp_ps::<_CMP_NLT_UQ>(vector.0[at], _mm256_set1_ps(limit));
            _mm256_and_ps(is_kept, then.0[at])
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, from: &T) {
        super::vouched!(_mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(from).cast()));
    }

    #[inline(always)]
    fn prefetch_far<T>(self, from: &T) {
        super::vouched!(_mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(from).cast()));
    }
}
