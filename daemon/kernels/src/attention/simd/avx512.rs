//! Vectors of 512 bits.

use super::{LANES, Simd};
use std::arch::x86_64::*;

super::proof!(
    Avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c",
    is_x86_feature_detected(
        "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "f16c"
    )
);

impl Simd for Avx512 {
    type Vector = __m512;

    const ROWS: usize = 8;

    #[inline(always)]
    fn splat(self, number: f32) -> __m512 {
        super::vouched!(_mm512_set1_ps(number))
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        super::vouched!(_mm512_loadu_ps(from.as_ptr()))
    }

    #[inline(always)]
    fn load_half(self, from: &[u16; LANES]) -> __m512 {
        super::vouched!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }

    #[inline(always)]
    fn load_byte(self, from: &[i8; LANES]) -> __m512 {
        super::vouched!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(
            from.as_ptr().cast()
        ))))
    }

    #[inline(always)]
    fn store(self, vector: __m512, to: &mut [f32; LANES]) {
        super::vouched!(_mm512_storeu_ps(to.as_mut_ptr(), vector));
    }

    #[inline(always)]
    fn store_half(self, vector: __m512, to: &mut [u16; LANES]) {
        super::vouched!(_mm256_storeu_si256(
            to.as_mut_ptr().cast(),
            _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(vector)
        ));
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn subtract(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn multiply(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn divide(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn multiply_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        super::vouched!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        super::vouched!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn exponent_bits(self, vector: __m512) -> __m512 {
        super::vouched!(_mm512_castsi512_ps(_mm512_slli_epi32::<23>(_mm512_castps_si512(
            vector
        ))))
    }

    #[inline(always)]
    fn zero_below(self, vector: __m512, limit: f32, then: __m512) -> __m512 {
        super::vouched!(_mm512_maskz_mov_ps(
            _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(vector, _mm512_set1_ps(limit)),
            then
        ))
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
