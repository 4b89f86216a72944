//! AVX2. Without dot products, pairs of products are summed in 16 bits, which weights of 4 bits
//! cannot overflow within 32 columns, nor weights of 8 bits within two if their sign is moved to
//! the activations.

use super::AHEAD;

super::ymm::tile!("avx2,fma,f16c");

const TAKES_MIDDLE: bool = true;

/// # Safety
///
/// A unit of weights can be read from `word`, one of activations for each row from `values`.
#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unit4<const ROWS: usize, const UNIT: usize, const HALVES: usize>(
    word: *const u8,
    values: *const i8,
    dots: &mut [[__m256i; HALVES]; ROWS],
) {
    let low = _mm256_set1_epi8(15);
    // 8 columns to a word. Each 16-bit lane takes at most 16 × 2 products of at most 15 × 127.
    for start in (0..UNIT / 8).step_by(4) {
        let mut pairs = [[_mm256_setzero_si256(); HALVES]; ROWS];
        for at in start..(start + 4).min(UNIT / 8) {
            if ROWS > 2 {
                _mm_prefetch::<_MM_HINT_T0>(word.wrapping_add(at * 64 + AHEAD).cast());
            }
            for half in 0..HALVES {
                // SAFETY: `at` is within the unit; the word is aligned as records are.
                let weights = unsafe { _mm256_load_si256(word.add(at * 64 + half * 32).cast()) };
                let even = _mm256_and_si256(weights, low);
                let odd = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), low);
                for row in 0..ROWS {
                    // SAFETY: 8 activations belong to each word.
                    let (first, second) = unsafe {
                        let eight = values.add(row * UNIT + at * 8);
                        (four(eight), four(eight.add(4)))
                    };
                    let sum = &mut pairs[row][half];
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(even, first));
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(odd, second));
                }
            }
        }
        for row in 0..ROWS {
            for half in 0..HALVES {
                let sums = _mm256_madd_epi16(pairs[row][half], _mm256_set1_epi16(1));
                dots[row][half] = _mm256_add_epi32(dots[row][half], sums);
            }
        }
    }
}

/// Takes 128 off the weights.
///
/// # Safety
///
/// As [`unit4`].
#[inline]
#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn unit8<const ROWS: usize, const UNIT: usize, const HALVES: usize>(
    word: *const u8,
    values: *const i8,
    dots: &mut [[__m256i; HALVES]; ROWS],
) {
    let middle = _mm256_set1_epi8(-128);
    for at in 0..UNIT / 4 {
        if ROWS > 2 {
            _mm_prefetch::<_MM_HINT_T0>(word.wrapping_add(at * 64 + AHEAD).cast());
        }
        for half in 0..HALVES {
            // SAFETY: `at` is within the unit; the word is aligned as records are.
            let weights = unsafe { _mm256_load_si256(word.add(at * 64 + half * 32).cast()) };
            let signed = _mm256_xor_si256(weights, middle);
            let amount = _mm256_abs_epi8(signed);
            for row in 0..ROWS {
                // SAFETY: 4 activations belong to each word.
                let values = unsafe { four(values.add(row * UNIT + at * 4)) };
                let pairs = _mm256_maddubs_epi16(amount, _mm256_sign_epi8(values, signed));
                let sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
                dots[row][half] = _mm256_add_epi32(dots[row][half], sums);
            }
        }
    }
}
