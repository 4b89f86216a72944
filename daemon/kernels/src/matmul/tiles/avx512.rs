//! AVX-512 with VNNI: a panel's 16 rows are the lanes of one register.

use std::arch::x86_64::*;

use super::{AHEAD, Bits, Sums, Work};
use crate::matmul::shape::blocks_per_group;

super::table!(
    tile::<1>, tile::<2>, tile::<3>, tile::<4>, tile::<5>, tile::<6>, tile::<7>, tile::<8>
);

#[expect(unsafe_code, reason = "loads of whole registers")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
fn tile<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    work: &Work<'_>,
    sums: &mut Sums,
) {
    let bits = if BITS == 4 { Bits::Four } else { Bits::Eight };
    work.check(ROWS, bits, UNIT, ZERO_POINTS);
    let low = _mm512_set1_epi8(15);
    let block = if UNIT < super::LONGEST_UNIT {
        UNIT
    } else {
        work.block
    };
    let (units, per_group) = (block / UNIT, blocks_per_group(block, bits));
    let mut record = work.records.as_ptr();
    let mut zero_points = work.zero_points.as_ptr();
    let mut values = work.values.as_ptr();
    let (mut scales, mut offsets) = (work.scales.as_ptr(), work.offsets.as_ptr());
    for line in work.zero_points.chunks(64) {
        // All at once, in the order of memory: taken between the records they slow these down.
        _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast());
    }
    let mut totals = [_mm512_setzero_ps(); ROWS];
    for row in 0..ROWS {
        // SAFETY: a row of sums has 16 elements and is aligned to 64 bytes.
        totals[row] = unsafe { _mm512_load_ps(sums.0[row].as_ptr()) };
    }
    let mut left = work.pairs;
    while left > 0 {
        let pairs = left.min((per_group / 2).max(1));
        left -= pairs;
        // Of the blocks of a group, still without the scale of its activations.
        let mut parts = [_mm512_setzero_ps(); ROWS];
        for _ in 0..pairs {
            let mut word = record.wrapping_add(64);
            for half in 0..2 {
                // SAFETY: `check` found as many records, zero points, activations, scales and offsets
                // as this loop passes, and records that are aligned; the prefetched address need not
                // be valid.
                unsafe {
                    let weight_scales = _mm512_cvtph_ps(_mm256_load_si256(record.add(half * 32).cast()));
                    let mut dots = [_mm512_setzero_si512(); ROWS];
                    if ZERO_POINTS {
                        let at = if BITS == 4 {
                            zero_points
                        } else {
                            zero_points.add(half * 16)
                        };
                        let stored = _mm512_cvtepu8_epi32(_mm_loadu_si128(at.cast()));
                        let zero = match (BITS, half) {
                            (4, 0) => _mm512_and_si512(stored, _mm512_set1_epi32(15)),
                            (4, _) => _mm512_srli_epi32::<4>(stored),
                            _ => stored,
                        };
                        for row in 0..ROWS {
                            let offset = _mm512_set1_epi32(*offsets.add(row));
                            dots[row] = _mm512_dpwssd_epi32(dots[row], zero, offset);
                        }
                    } else {
                        for row in 0..ROWS {
                            dots[row] = _mm512_set1_epi32(*offsets.add(row));
                        }
                    }
                    for _ in 0..units {
                        for at in 0..UNIT * BITS / 32 {
                            if ROWS > 2 {
                                _mm_prefetch::<_MM_HINT_T0>(word.wrapping_add(at * 64 + AHEAD).cast());
                            }
                            let weights = _mm512_load_si512(word.add(at * 64).cast());
                            if BITS == 4 {
                                let even = _mm512_and_si512(weights, low);
                                let odd = _mm512_and_si512(_mm512_srli_epi16::<4>(weights), low);
                                for row in 0..ROWS {
                                    let four = four(values.add(row * UNIT + at * 8));
                                    dots[row] = _mm512_dpbusd_epi32(dots[row], even, four);
                                }
                                for row in 0..ROWS {
                                    let four = four(values.add(row * UNIT + at * 8 + 4));
                                    dots[row] = _mm512_dpbusd_epi32(dots[row], odd, four);
                                }
                            } else {
                                for row in 0..ROWS {
                                    let four = four(values.add(row * UNIT + at * 4));
                                    dots[row] = _mm512_dpbusd_epi32(dots[row], weights, four);
                                }
                            }
                        }
                        word = word.add(UNIT * BITS * 2);
                        values = values.add(ROWS * UNIT);
                    }
                    for row in 0..ROWS {
                        parts[row] =
                            _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[row]), weight_scales, parts[row]);
                    }
                    if per_group == 1 {
                        add_parts(&mut totals, &mut parts, scales);
                    }
                    scales = scales.add(ROWS);
                    offsets = offsets.add(ROWS);
                }
            }
            record = word;
            zero_points = zero_points.wrapping_add(4 * BITS);
        }
        if per_group > 1 {
            // SAFETY: a block was passed, and all blocks of a group have the same scales.
            unsafe { add_parts(&mut totals, &mut parts, scales.sub(ROWS)) };
        }
    }
    for row in 0..ROWS {
        // SAFETY: as above.
        unsafe { _mm512_store_ps(sums.0[row].as_mut_ptr(), totals[row]) };
    }
}

/// Adds to each row's totals its parts, times the scale of its activations, and begins new ones.
///
/// # Safety
///
/// There is a scale for every row.
#[inline]
#[expect(unsafe_code, reason = "reading behind a pointer")]
#[target_feature(enable = "avx512f,fma")]
unsafe fn add_parts<const ROWS: usize>(
    totals: &mut [__m512; ROWS],
    parts: &mut [__m512; ROWS],
    scales: *const f32,
) {
    for row in 0..ROWS {
        // SAFETY: the caller's promise.
        let scale = _mm512_set1_ps(unsafe { *scales.add(row) });
        totals[row] = _mm512_fmadd_ps(parts[row], scale, totals[row]);
        parts[row] = _mm512_setzero_ps();
    }
}

/// The same four activations for every lane.
///
/// # Safety
///
/// Four values can be read there.
#[inline]
#[expect(unsafe_code, reason = "an unaligned load")]
#[target_feature(enable = "avx512f")]
unsafe fn four(values: *const i8) -> __m512i {
    // SAFETY: the caller's promise.
    _mm512_set1_epi32(i32::from_le_bytes(unsafe { *values.cast::<[u8; 4]>() }))
}
