//! From the layout of `MatMulNBits` to panels.

use half::f16;

use super::shape::LANES;
use super::{Arrangement, Bits, MatmulError, Shape, Source};
use crate::Parallel;
use crate::shared::Shared;

/// Scales of a row are stored as multiples of the power of two below the largest one, divided by
/// this: so the largest is near the middle of what fp16 can hold, and those a million times
/// smaller keep all of its digits.
const HEADROOM: f32 = 256.0;

/// The power of two below 1e-30: less would not be a normal number after [`HEADROOM`].
const LEAST_POWER: f32 = f32::from_bits(1e-30_f32.to_bits() & 0x7f80_0000);

/// Packs `sources`, whose rows together are the rows of `shape`, into `out`, which has
/// [`Shape::packed_bytes`]. Every byte of it is written.
pub fn pack(
    shape: Shape,
    arrangement: Arrangement,
    sources: &[Source<'_>],
    out: &mut [u8],
    parallel: &dyn Parallel,
) -> Result<(), MatmulError> {
    let rows = sources
        .iter()
        .try_fold(0, |rows: usize, source| rows.checked_add(source.rows));
    MatmulError::check_length("rows of all sources", rows.unwrap_or(usize::MAX), shape.rows())?;
    shape.check(arrangement)?;
    if arrangement == Arrangement::Interleaved
        && !matches!(sources, [first, second] if first.rows == second.rows)
    {
        return Err(MatmulError::Halves(shape.rows() / 2));
    }
    for source in sources {
        source.check(&shape)?;
    }
    MatmulError::check_length("packed bytes", out.len(), shape.packed_bytes(arrangement))?;
    pack_panels(shape, arrangement, sources, out, parallel);
    Ok(())
}

fn pack_panels(
    shape: Shape,
    arrangement: Arrangement,
    sources: &[Source<'_>],
    out: &mut [u8],
    parallel: &dyn Parallel,
) {
    let (panels, bytes) = (shape.panels(arrangement), shape.panel_bytes());
    let tasks = panels.min(parallel.threads() * 8);
    let out = Shared::new(out);
    parallel.run(tasks, &|task| {
        for panel in panels * task / tasks..panels * (task + 1) / tasks {
            #[expect(unsafe_code, reason = "tasks write different panels")]
            // SAFETY: each panel belongs to one task, and panels do not overlap.
            let out = unsafe { out.part(panel * bytes..(panel + 1) * bytes) };
            out.fill(0);
            for lane in 0..LANES {
                if let Some((source, row)) = origin(arrangement, sources, panel, lane) {
                    pack_row(&shape, source, row, lane, out);
                }
            }
        }
    });
}

/// The source and its row that go into this lane; none in lanes that fill up the last panel.
fn origin<'a, 'b>(
    arrangement: Arrangement,
    sources: &'a [Source<'b>],
    panel: usize,
    lane: usize,
) -> Option<(&'a Source<'b>, usize)> {
    let (sources, mut row) = match arrangement {
        Arrangement::Stacked => (sources, panel * LANES + lane),
        Arrangement::Interleaved => (&sources[panel % 2..=panel % 2], panel / 2 * LANES + lane),
    };
    for source in sources {
        if row < source.rows {
            return Some((source, row));
        }
        row -= source.rows;
    }
    None
}

fn pack_row(shape: &Shape, source: &Source<'_>, row: usize, lane: usize, out: &mut [u8]) {
    let blocks = shape.blocks();
    let scales = (0..blocks).map(|block| source.scales.get(row * blocks + block));
    let factor = row_factor(
        scales
            .clone()
            .fold(0.0, |largest, scale| largest.max(scale.abs())),
    );
    let (head, records) = out.split_at_mut(shape.records_start());
    let (factors, zero_points) = head.split_at_mut(LANES * size_of::<f32>());
    factors[lane * 4..lane * 4 + 4].copy_from_slice(&factor.to_le_bytes());

    let weights = &source.weights[row * shape.row_bytes()..(row + 1) * shape.row_bytes()];
    let blocks_of_weights = weights.chunks_exact(shape.block_bytes());
    for (block, (weights, scale)) in blocks_of_weights.zip(scales).enumerate() {
        let record = &mut records[block / 2 * shape.record_bytes()..][..shape.record_bytes()];
        let (scales, words) = record.split_at_mut(2 * LANES * size_of::<f16>());
        let at = (block % 2 * LANES + lane) * size_of::<f16>();
        scales[at..at + 2].copy_from_slice(&f16::from_f32(scale / factor).to_le_bytes());
        let words = &mut words[block % 2 * LANES * shape.block_bytes()..];
        for (word, weights) in words.chunks_exact_mut(4 * LANES).zip(weights.chunks_exact(4)) {
            word[lane * 4..lane * 4 + 4].copy_from_slice(weights);
        }
        if shape.has_zero_points() {
            let zero_point = source.zero_point(shape, row, block);
            match shape.bits() {
                Bits::Four => zero_points[block / 2 * LANES + lane] |= zero_point << (block % 2 * 4),
                Bits::Eight => zero_points[block * LANES + lane] = zero_point,
            }
        }
    }
}

/// The power of two that the scales of a row are divided by.
fn row_factor(largest: f32) -> f32 {
    let power = f32::from_bits(largest.to_bits() & 0x7f80_0000);
    if largest == 0.0 {
        1.0
    } else {
        power.max(LEAST_POWER) / HEADROOM
    }
}
