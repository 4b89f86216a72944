//! Activations in 8 bits: each group of a row as integers from -127 to 127 and one scale.
//!
//! A group is a block or, with weights of 4 bits, as many blocks as have 128 columns together. One
//! with a number that is not finite becomes zeros with a scale of NaN, so that every output of its
//! row is NaN; one of numbers all below 2⁻¹¹⁹ becomes zeros.

use super::Shape;
use super::quantize_row::{Place, Writer, write_row};
use crate::shared::Shared;
use crate::{Isa, Parallel};

/// Fewer rows than this are not worth waking other threads for.
const ROWS_WORTH_SHARING: usize = 4;

/// Room for quantized activations, used again by every product of a session.
#[derive(Debug, Default)]
pub struct Scratch {
    values: Vec<i8>,
    scales: Vec<f32>,
    offsets: Vec<i32>,
}

/// Quantized activations in tiles of up to [`tile_rows`](Self::tile_rows) rows.
pub(super) struct Quantized<'a> {
    pub(super) rows: usize,
    pub(super) tile_rows: usize,
    /// Per tile `[unit][row][activations of the unit]`.
    pub(super) values: &'a [i8],
    /// Per tile `[block][row]`, the same for all blocks of a group.
    pub(super) scales: &'a [f32],
    /// Per tile `[block][row]`: the sum of the block's integers, times the middle of the stored
    /// weights and negated; or with zero points only negated, in the lower 16 bits, the upper ones
    /// being 0.
    pub(super) offsets: &'a [i32],
}

impl Scratch {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Quantizes `x`, `[rows][columns]`, for tiles of at most `most_rows`.
    pub(super) fn quantize(
        &mut self,
        isa: Isa,
        shape: &Shape,
        x: &[f32],
        most_rows: usize,
        parallel: &dyn Parallel,
    ) -> Quantized<'_> {
        let rows = x.len() / shape.columns();
        let tile_rows = rows.div_ceil(rows.div_ceil(most_rows).max(1)).max(1);
        let blocks = 2 * shape.pairs();
        let (values, scales) = (rows * blocks * shape.block(), rows * blocks);
        grow(&mut self.values, values);
        grow(&mut self.scales, scales);
        grow(&mut self.offsets, scales);
        let out = Writer {
            shape,
            values: Shared::new(&mut self.values[..values]),
            scales: Shared::new(&mut self.scales[..scales]),
            offsets: Shared::new(&mut self.offsets[..scales]),
        };
        let row = |row: usize| {
            let x = &x[row * shape.columns()..(row + 1) * shape.columns()];
            let tile = row / tile_rows * tile_rows;
            let place = Place {
                tile: tile * blocks,
                rows: tile_rows.min(rows - tile),
                row: row - tile,
            };
            write_row(isa, &out, &place, x);
        };
        if rows < ROWS_WORTH_SHARING {
            (0..rows).for_each(row);
        } else {
            let tasks = rows.min(parallel.threads() * 4);
            parallel.run(tasks, &|task| {
                (rows * task / tasks..rows * (task + 1) / tasks).for_each(row);
            });
        }
        Quantized {
            rows,
            tile_rows,
            values: &self.values[..values],
            scales: &self.scales[..scales],
            offsets: &self.offsets[..scales],
        }
    }
}

fn grow<T: Clone + Default>(room: &mut Vec<T>, length: usize) {
    if room.len() < length {
        room.resize(length, T::default());
    }
}
