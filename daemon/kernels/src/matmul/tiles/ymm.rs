//! The tile of registers of 256 bits: a panel's 16 rows are the lanes of two.

/// Tiles for `$features`. In scope are `unit4` and `unit8`, which add the dot products of a unit of
/// either kind of weights, and `TAKES_MIDDLE`: whether `unit8` takes 128 off the weights.
macro_rules! tile {
    ($features:literal) => {
        use std::arch::x86_64::*;
        use $crate::matmul::Bits;
        use $crate::matmul::tiles::{LONGEST_UNIT, Sums, Work};

        $crate::matmul::tiles::table!(both::<1>, both::<2>, each::<3>, each::<4>);

        /// Both halves of the panel at once.
        #[target_feature(enable = $features)]
        fn both<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
            work: &Work<'_>,
            sums: &mut Sums,
        ) {
            tile::<ROWS, BITS, UNIT, ZERO_POINTS, 2>(0, work, sums);
        }

        /// One half after the other: more rows than that do not fit into 16 registers.
        #[target_feature(enable = $features)]
        fn each<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
            work: &Work<'_>,
            sums: &mut Sums,
        ) {
            tile::<ROWS, BITS, UNIT, ZERO_POINTS, 1>(0, work, sums);
            tile::<ROWS, BITS, UNIT, ZERO_POINTS, 1>(1, work, sums);
        }

        #[expect(unsafe_code, reason = "loads of whole registers")]
        #[target_feature(enable = $features)]
        fn tile<
            const ROWS: usize,
            const BITS: usize,
            const UNIT: usize,
            const ZERO_POINTS: bool,
            const HALVES: usize,
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
            assert!(first + HALVES <= 2, "a panel has two halves");
            let units = if UNIT < LONGEST_UNIT {
                1
            } else {
                work.block / UNIT
            };
            let mut record = work.records.as_ptr();
            let mut zero_points = work.zero_points.as_ptr();
            let mut values = work.values.as_ptr();
            let (mut scales, mut offsets) = (work.scales.as_ptr(), work.offsets.as_ptr());
            for line in work.zero_points.chunks(64) {
                // All at once, in the order of memory: taken between the records they slow these
                // down.
                _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
            }
            let mut totals = [[_mm256_setzero_ps(); HALVES]; ROWS];
            for row in 0..ROWS {
                for half in 0..HALVES {
                    let sums = &sums.0[row][(first + half) * 8..][..8];
                    // SAFETY: there are 8 elements.
                    totals[row][half] = unsafe { _mm256_loadu_ps(sums.as_ptr()) };
                }
            }
            for _ in 0..work.pairs {
                let mut word = record.wrapping_add(64);
                for block in 0..2 {
                    // SAFETY: `check` found as many records, zero points, activations, scales and offsets
                    // as this loop passes, and records that are aligned; of the two halves of each only
                    // `first` and the next `HALVES - 1` are read.
                    unsafe {
                        let mut dots = [[_mm256_setzero_si256(); HALVES]; ROWS];
                        for half in 0..HALVES {
                            if ZERO_POINTS {
                                let at = if BITS == 4 {
                                    zero_points
                                } else {
                                    zero_points.add(block * 16)
                                };
                                let zero = zeros::<BITS>(at.add((first + half) * 8), block);
                                for row in 0..ROWS {
                                    let offset = _mm256_set1_epi32(*offsets.add(row));
                                    dots[row][half] = _mm256_madd_epi16(zero, offset);
                                }
                            } else if BITS == 4 || !TAKES_MIDDLE {
                                for row in 0..ROWS {
                                    dots[row][half] = _mm256_set1_epi32(*offsets.add(row));
                                }
                            }
                        }
                        for _ in 0..units {
                            if BITS == 4 {
                                unit4::<ROWS, UNIT, HALVES>(word.add(first * 32), values, &mut dots);
                            } else {
                                unit8::<ROWS, UNIT, HALVES>(word.add(first * 32), values, &mut dots);
                            }
                            word = word.add(UNIT * BITS * 2);
                            values = values.add(ROWS * UNIT);
                        }
                        for half in 0..HALVES {
                            let at = record.add(block * 32 + (first + half) * 16);
                            let weight_scales = _mm256_cvtph_ps(_mm_load_si128(at.cast()));
                            for row in 0..ROWS {
                                let scale = _mm256_mul_ps(weight_scales, _mm256_set1_ps(*scales.add(row)));
                                let dots = _mm256_cvtepi32_ps(dots[row][half]);
                                totals[row][half] = _mm256_fmadd_ps(dots, scale, totals[row][half]);
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
                for half in 0..HALVES {
                    let out = &mut sums.0[row][(first + half) * 8..][..8];
                    // SAFETY: there are 8 elements.
                    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), totals[row][half]) };
                }
            }
        }

        /// The zero points of 8 rows, less what `unit8` takes off itself.
        ///
        /// # Safety
        ///
        /// 8 bytes can be read there.
        #[inline]
        #[expect(unsafe_code, reason = "an unaligned load")]
        #[target_feature(enable = $features)]
        unsafe fn zeros<const BITS: usize>(at: *const u8, block: usize) -> __m256i {
            // SAFETY: the caller's promise.
            let stored = _mm256_cvtepu8_epi32(unsafe { _mm_loadl_epi64(at.cast()) });
            match (BITS, block) {
                (4, 0) => _mm256_and_si256(stored, _mm256_set1_epi32(15)),
                (4, _) => _mm256_srli_epi32::<4>(stored),
                _ if !TAKES_MIDDLE => stored,
                _ => _mm256_sub_epi32(stored, _mm256_set1_epi32(128)),
            }
        }

        /// The same four activations for every lane.
        ///
        /// # Safety
        ///
        /// Four values can be read there.
        #[inline]
        #[expect(unsafe_code, reason = "an unaligned load")]
        #[target_feature(enable = $features)]
        unsafe fn four(values: *const i8) -> __m256i {
            // SAFETY: the caller's promise.
            _mm256_set1_epi32(i32::from_le_bytes(unsafe { *values.cast::<[u8; 4]>() }))
        }
    };
}
pub(super) use tile;
