//! Without particular instructions: what every other tile is compared with.

use half::f16;

use super::{Bits, LANES, Sums, Work};

// Compilers take long for each number of rows, and more rows at once are not faster here.
super::table!(tile::<1>);

fn tile<const ROWS: usize, const BITS: usize, const UNIT: usize, const ZERO_POINTS: bool>(
    work: &Work<'_>,
    sums: &mut Sums,
) {
    let bits = if BITS == 4 { Bits::Four } else { Bits::Eight };
    work.check(ROWS, bits, UNIT, ZERO_POINTS);
    let block_bytes = LANES * work.block * BITS / 8;
    for block in 0..2 * work.pairs {
        let record = &work.records[block / 2 * super::record_bytes(work.block, bits)..];
        let words = &record[64 + block % 2 * block_bytes..][..block_bytes];
        for row in 0..ROWS {
            let mut dots = first_value::<ZERO_POINTS>(work, bits, block, work.offsets[block * ROWS + row]);
            let units = words.chunks_exact(LANES * UNIT * BITS / 8);
            for (unit, words) in units.enumerate() {
                let start = ((block * (work.block / UNIT) + unit) * ROWS + row) * UNIT;
                add_unit::<BITS>(words, &work.values[start..start + UNIT], &mut dots);
            }
            for lane in 0..LANES {
                let at = (block % 2 * LANES + lane) * 2;
                let scale = f16::from_le_bytes([record[at], record[at + 1]]).to_f32();
                let scale = scale * work.scales[block * ROWS + row];
                sums.0[row][lane] += dots[lane] as f32 * scale;
            }
        }
    }
}

/// What the stored weights are too large by, times the activations.
fn first_value<const ZERO_POINTS: bool>(
    work: &Work<'_>,
    bits: Bits,
    block: usize,
    offset: i32,
) -> [i32; LANES] {
    if !ZERO_POINTS {
        return [offset; LANES];
    }
    std::array::from_fn(|lane| {
        let zero_point = match bits {
            Bits::Four => (work.zero_points[block / 2 * LANES + lane] >> (block % 2 * 4)) & 15,
            Bits::Eight => work.zero_points[block * LANES + lane],
        };
        i32::from(zero_point) * i32::from(offset as i16)
    })
}

fn add_unit<const BITS: usize>(words: &[u8], values: &[i8], dots: &mut [i32; LANES]) {
    let words = words.chunks_exact(4 * LANES);
    for (word, values) in words.zip(values.chunks_exact(32 / BITS)) {
        for (dot, weights) in dots.iter_mut().zip(word.chunks_exact(4)) {
            for (byte, &weight) in weights.iter().enumerate() {
                if BITS == 4 {
                    *dot += i32::from(weight & 15) * i32::from(values[byte]);
                    *dot += i32::from(weight >> 4) * i32::from(values[4 + byte]);
                } else {
                    *dot += i32::from(weight) * i32::from(values[byte]);
                }
            }
        }
    }
}
