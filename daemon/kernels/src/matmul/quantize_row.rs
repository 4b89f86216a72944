//! Quantizes one row of activations.

#[cfg(target_arch = "aarch64")]
mod neon;

use super::tiles::LONGEST_UNIT;
use super::{Bits, Shape};
use crate::Isa;
use crate::shared::Shared;

/// Below this the inverse of a scale would not be finite.
const LEAST: f32 = f32::from_bits(8 << 23);

/// What added to a small number rounds it to an integer, halves to even, and leaves the integer in
/// the lowest bits.
const ROUNDING: f32 = 12_582_912.0;

/// Everything that rows are written to: see [`super::quantize::Quantized`].
pub(super) struct Writer<'a> {
    pub(super) shape: &'a Shape,
    pub(super) values: Shared<'a, i8>,
    pub(super) scales: Shared<'a, f32>,
    pub(super) offsets: Shared<'a, i32>,
}

/// Where one row goes.
pub(super) struct Place {
    /// Where its tile starts: in scales and offsets, and times the block in values.
    pub(super) tile: usize,
    /// Rows of the tile.
    pub(super) rows: usize,
    /// Its number in the tile.
    pub(super) row: usize,
}

/// Writes the row `x` to its place; no other task has the same place.
pub(super) fn write_row(isa: Isa, out: &Writer<'_>, place: &Place, x: &[f32]) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni if isa.is_available() => {
            #[expect(unsafe_code, reason = "instructions that were looked for")]
            // SAFETY: all of these have AVX2, and the processor has them.
            unsafe {
                super::quantize_avx2::write_row(out, place, x);
            }
        }
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot | Isa::NeonI8mm if isa.is_available() => {
            #[expect(unsafe_code, reason = "instructions that were looked for")]
            // SAFETY: the processor has them.
            unsafe {
                neon::write_row(out, place, x);
            }
        }
        _ => write_row_with(out, place, x, largest, round),
    }
}

/// [`write_row`] with the bits of the largest absolute number of a slice, and with the rounding of
/// a unit times a factor, which returns the sum of the integers.
#[inline(always)]
pub(super) fn write_row_with(
    out: &Writer<'_>,
    place: &Place,
    x: &[f32],
    largest: impl Fn(&[f32]) -> u32,
    round: impl Fn(&[f32], f32, Bits, &mut [i8]) -> i32,
) {
    let (block, bits) = (out.shape.block(), out.shape.bits());
    let unit = block.min(LONGEST_UNIT);
    let per_group = out.shape.blocks_per_group();
    let (mut scale, mut inverse) = (0.0, 0.0);
    for number in 0..2 * out.shape.pairs() {
        if number.is_multiple_of(per_group) {
            (scale, inverse) = scale_of(largest(columns(x, number * block, per_group * block)));
        }
        let x = columns(x, number * block, block);
        let mut sum = 0;
        for piece in 0..block / unit {
            let at = (number * (block / unit) + piece) * place.rows + place.row;
            let at = place.tile * block + at * unit;
            #[expect(unsafe_code, reason = "tasks write different rows")]
            // SAFETY: these values belong to this row only, which belongs to this task only.
            let values = unsafe { out.values.part(at..at + unit) };
            let x = columns(x, piece * unit, unit);
            if inverse == 0.0 || x.is_empty() {
                values.fill(0);
            } else if x.len() == unit {
                sum += round(x, inverse, bits, values);
            } else {
                let mut filled_up = [0.0; LONGEST_UNIT];
                filled_up[..x.len()].copy_from_slice(x);
                sum += round(&filled_up[..unit], inverse, bits, values);
            }
        }
        let at = place.tile + number * place.rows + place.row;
        #[expect(unsafe_code, reason = "tasks write different rows")]
        // SAFETY: as above.
        unsafe {
            out.scales.part(at..at + 1)[0] = scale;
            out.offsets.part(at..at + 1)[0] = offset(out.shape, sum);
        }
    }
}

/// As many of `count` numbers as there are from `first` on.
fn columns(x: &[f32], first: usize, count: usize) -> &[f32] {
    &x[first.min(x.len())..(first + count).min(x.len())]
}

/// The scale of a group and its inverse, from the bits of its largest absolute number.
fn scale_of(largest: u32) -> (f32, f32) {
    let largest = f32::from_bits(largest);
    if !largest.is_finite() {
        (f32::NAN, 0.0)
    } else if largest < LEAST {
        (0.0, 0.0)
    } else {
        (largest / 127.0, 127.0 / largest)
    }
}

/// What tiles start with for a block whose integers have this sum.
fn offset(shape: &Shape, sum: i32) -> i32 {
    if shape.has_zero_points() {
        // At most 256 × 127, which fits into 16 bits.
        i32::from((-sum) as u16)
    } else {
        -i32::from(shape.bits().middle()) * sum
    }
}

/// Absolute numbers are in the order of their bits, NaN above all others.
fn largest(x: &[f32]) -> u32 {
    x.iter()
        .fold(0, |largest, number| largest.max(number.to_bits() & 0x7fff_ffff))
}

/// For weights of 4 bits each eight are put into the order in which the weights come out of their
/// bytes: first those in the low halves of four bytes, then those in the high halves.
fn round(x: &[f32], factor: f32, bits: Bits, values: &mut [i8]) -> i32 {
    let order = match bits {
        Bits::Four => [0, 2, 4, 6, 1, 3, 5, 7],
        Bits::Eight => [0, 1, 2, 3, 4, 5, 6, 7],
    };
    let mut sum = 0;
    for (x, values) in x.chunks_exact(8).zip(values.chunks_exact_mut(8)) {
        for (value, &from) in values.iter_mut().zip(&order) {
            let rounded = (x[from] * factor + ROUNDING).to_bits() as i32 - ROUNDING.to_bits() as i32;
            sum += rounded;
            *value = rounded as i8;
        }
    }
    sum
}
