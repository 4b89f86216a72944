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
pub(super) struct Pair(__m256, __m256);

impl Simd for Avx2 {
    type Vector = Pair;

    const ROWS: usize = 4;

    #[inline(always)]
    fn splat(self, number: f32) -> Pair {
        let half = super::vouched!(_mm256_set1_ps(number));
        Pair(half, half)
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> Pair {
        let from = from.as_ptr();
        super::vouched!(Pair(_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; LANES]) -> Pair {
        let from: *const __m128i = from.as_ptr().cast();
        super::vouched!(Pair(
            _mm256_cvtph_ps(_mm_loadu_si128(from)),
            _mm256_cvtph_ps(_mm_loadu_si128(from.add(1)))
        ))
    }

    #[inline(always)]
    fn load_byte(self, from: &[i8; LANES]) -> Pair {
        super::vouched!({
            let bytes = _mm_loadu_si128(from.as_ptr().cast());
            let upper = _mm_srli_si128::<8>(bytes);
            Pair(
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(upper)),
            )
        })
    }

    #[inline(always)]
    fn store(self, vector: Pair, to: &mut [f32; LANES]) {
        let to = to.as_mut_ptr();
        super::vouched!({
            _mm256_storeu_ps(to, vector.0);
            _mm256_storeu_ps(to.add(8), vector.1);
        });
    }

    #[inline(always)]
    fn store_half(self, vector: Pair, to: &mut [u16; LANES]) {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;
        let to: *mut __m128i = to.as_mut_ptr().cast();
        super::vouched!({
            _mm_storeu_si128(to, _mm256_cvtps_ph::<NEAREST>(vector.0));
            _mm_storeu_si128(to.add(1), _mm256_cvtps_ph::<NEAREST>(vector.1));
        });
    }

    #[inline(always)]
    fn add(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_add_ps(a.0, b.0), _mm256_add_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn subtract(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_sub_ps(a.0, b.0), _mm256_sub_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn multiply(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_mul_ps(a.0, b.0), _mm256_mul_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn divide(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_div_ps(a.0, b.0), _mm256_div_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn multiply_add(self, a: Pair, b: Pair, c: Pair) -> Pair {
        super::vouched!(Pair(
            _mm256_fmadd_ps(a.0, b.0, c.0),
            _mm256_fmadd_ps(a.1, b.1, c.1)
        ))
    }

    #[inline(always)]
    fn max(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_max_ps(a.0, b.0), _mm256_max_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn min(self, a: Pair, b: Pair) -> Pair {
        super::vouched!(Pair(_mm256_min_ps(a.0, b.0), _mm256_min_ps(a.1, b.1)))
    }

    #[inline(always)]
    fn exponent_bits(self, vector: Pair) -> Pair {
        super::vouched!(Pair(
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(vector.0))),
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(vector.1)))
        ))
    }

    #[inline(always)]
    fn zero_below(self, vector: Pair, limit: f32, then: Pair) -> Pair {
        super::vouched!({
            let limit = _mm256_set1_ps(limit);
            Pair(
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(vector.0, limit), then.0),
                _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLT_UQ>(vector.1, limit), then.1),
            )
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
