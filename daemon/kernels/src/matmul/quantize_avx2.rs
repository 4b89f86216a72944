//! Quantizes one row of activations with AVX2.

use std::arch::x86_64::*;

use super::Bits;
use super::quantize_row::{Place, Writer, write_row_with};

#[target_feature(enable = "avx2")]
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
#[target_feature(enable = "avx2")]
fn largest(x: &[f32]) -> u32 {
    let (eights, rest) = x.as_chunks::<8>();
    let mut most = _mm256_setzero_si256();
    for eight in eights {
        // SAFETY: there are 8 numbers of 4 bytes.
        let bits = unsafe { _mm256_loadu_si256(eight.as_ptr().cast()) };
        most = _mm256_max_epu32(most, _mm256_and_si256(bits, _mm256_set1_epi32(0x7fff_ffff)));
    }
    let most = _mm_max_epu32(_mm256_castsi256_si128(most), _mm256_extracti128_si256::<1>(most));
    let most = _mm_max_epu32(most, _mm_shuffle_epi32::<0b00_00_11_10>(most));
    let most = _mm_max_epu32(most, _mm_shuffle_epi32::<1>(most));
    let most = _mm_cvtsi128_si32(most).cast_unsigned();
    rest.iter()
        .fold(most, |most, number| most.max(number.to_bits() & 0x7fff_ffff))
}

/// Lengths are multiples of 16.
#[inline]
#[expect(unsafe_code, reason = "loads and stores of whole registers")]
#[target_feature(enable = "avx2")]
fn round(x: &[f32], factor: f32, bits: Bits, values: &mut [i8]) -> i32 {
    let order = match bits {
        Bits::Four => _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15),
        Bits::Eight => _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    };
    let factor = _mm256_set1_ps(factor);
    let mut sums = _mm256_setzero_si256();
    for (x, values) in x.as_chunks::<16>().0.iter().zip(values.as_chunks_mut::<16>().0) {
        // SAFETY: there are 16 numbers.
        let (first, second) = unsafe { (_mm256_loadu_ps(x.as_ptr()), _mm256_loadu_ps(x.as_ptr().add(8))) };
        let first = _mm256_cvtps_epi32(_mm256_mul_ps(first, factor));
        let second = _mm256_cvtps_epi32(_mm256_mul_ps(second, factor));
        sums = _mm256_add_epi32(sums, _mm256_add_epi32(first, second));
        // Packing works within halves: the middle quarters change places.
        let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(first, second));
        let low = _mm256_castsi256_si128(words);
        let bytes = _mm_packs_epi16(low, _mm256_extracti128_si256::<1>(words));
        // SAFETY: there are 16 values.
        unsafe { _mm_storeu_si128(values.as_mut_ptr().cast(), _mm_shuffle_epi8(bytes, order)) };
    }
    let sums = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
    let sums = _mm_add_epi32(sums, _mm_shuffle_epi32::<0b00_00_11_10>(sums));
    _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_shuffle_epi32::<1>(sums)))
}
