//! Dot products of 256 bits.

/// Tiles with the dot product `$dot`, which AVX-VNNI and AVX-512 encode differently: a processor
/// that has only the other one can test them.
macro_rules! tile_with {
    ($features:literal, $dot:ident) => {
        $crate::matmul::tiles::ymm::tile!($features);

        const TAKES_MIDDLE: bool = false;

        /// # Safety
        ///
        /// A unit of weights can be read from `word`, one of activations for each row from
        /// `values`.
        #[inline]
        #[expect(unsafe_code, reason = "loads of whole registers")]
        #[target_feature(enable = $features)]
        unsafe fn unit4<const ROWS: usize, const UNIT: usize, const HALVES: usize>(
            word: *const u8,
            values: *const i8,
            dots: &mut [[__m256i; HALVES]; ROWS],
        ) {
            let low = _mm256_set1_epi8(15);
            for at in 0..UNIT / 8 {
                ahead::<ROWS>(word.wrapping_add(at * 64));
                let mut even = [_mm256_setzero_si256(); HALVES];
                let mut odd = even;
                for half in 0..HALVES {
                    // SAFETY: `at` is within the unit; the word is aligned as records are.
                    let weights = unsafe { _mm256_load_si256(word.add(at * 64 + half * 32).cast()) };
                    even[half] = _mm256_and_si256(weights, low);
                    odd[half] = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), low);
                }
                for row in 0..ROWS {
                    // SAFETY: 8 activations belong to each word.
                    let (first, second) = unsafe {
                        let eight = values.add(row * UNIT + at * 8);
                        (four(eight), four(eight.add(4)))
                    };
                    for half in 0..HALVES {
                        let dot = $dot(dots[row][half], even[half], first);
                        dots[row][half] = $dot(dot, odd[half], second);
                    }
                }
            }
        }

        /// # Safety
        ///
        /// As [`unit4`].
        #[inline]
        #[expect(unsafe_code, reason = "loads of whole registers")]
        #[target_feature(enable = $features)]
        unsafe fn unit8<const ROWS: usize, const UNIT: usize, const HALVES: usize>(
            word: *const u8,
            values: *const i8,
            dots: &mut [[__m256i; HALVES]; ROWS],
        ) {
            for at in 0..UNIT / 4 {
                ahead::<ROWS>(word.wrapping_add(at * 64));
                for half in 0..HALVES {
                    // SAFETY: `at` is within the unit; the word is aligned as records are.
                    let weights = unsafe { _mm256_load_si256(word.add(at * 64 + half * 32).cast()) };
                    for row in 0..ROWS {
                        // SAFETY: 4 activations belong to each word.
                        let values = unsafe { four(values.add(row * UNIT + at * 4)) };
                        dots[row][half] = $dot(dots[row][half], weights, values);
                    }
                }
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn ahead<const ROWS: usize>(word: *const u8) {
            if ROWS > 2 {
                _mm_prefetch::<_MM_HINT_T0>(word.wrapping_add($crate::matmul::tiles::AHEAD).cast());
            }
        }
    };
}

tile_with!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);

/// The same tiles in the encoding of AVX-512.
#[cfg(test)]
pub(in crate::matmul) mod encoded_otherwise {
    tile_with!("avx2,fma,f16c,avx512vl,avx512vnni", _mm256_dpbusd_epi32);
}
