//! Brings tiles, panels and threads together.

use std::ops::Range;

use super::cut::Cut;
use super::gate::{self, Half};
use super::quantize::Quantized;
use super::shape::LANES;
use super::tiles::{Sums, Tile, Work};
use super::{Activation, Shape};
use crate::shared::Shared;
use crate::{Isa, Parallel};

/// Columns after which several tiles begin anew: their activations stay in the first cache.
const COLUMNS_AT_ONCE: usize = 2048;

/// Bytes of weights that all tiles pass through before the next ones: they stay in the second
/// cache.
const WEIGHTS_AT_ONCE: usize = 256 << 10;

/// One product: packed weights, quantized activations and the tiles that fit them.
pub(super) struct Product<'a> {
    pub(super) shape: &'a Shape,
    pub(super) packed: &'a [u8],
    pub(super) isa: Isa,
    pub(super) tiles: &'static [Tile],
    pub(super) x: Quantized<'a>,
}

/// Rows of activations that are multiplied together.
#[derive(Clone, Copy)]
struct Rows {
    first: usize,
    count: usize,
}

impl Product<'_> {
    /// `y = x Wᵀ + bias`, `[rows][shape.rows()]`.
    pub(super) fn stacked(&self, bias: Option<&[f32]>, y: &mut [f32], parallel: &dyn Parallel) {
        let y = Shared::new(y);
        share(self.cut(1, parallel.threads()), parallel, |panels| {
            for pairs in chunks(0..self.shape.pairs(), self.pairs_at_once()) {
                for panels in chunks(panels.clone(), self.panels_at_once(pairs.len())) {
                    self.pass(panels, |rows, panel| {
                        self.stacked_tile(rows, panel, &pairs, bias, &y)
                    });
                }
            }
        });
    }

    fn stacked_tile(
        &self,
        rows: Rows,
        panel: usize,
        pairs: &Range<usize>,
        bias: Option<&[f32]>,
        y: &Shared<'_, f32>,
    ) {
        let width = self.shape.rows();
        let columns = panel * LANES..((panel + 1) * LANES).min(width);
        let of_row = |row: usize| {
            let start = (rows.first + row) * width;
            #[expect(unsafe_code, reason = "tasks write different columns")]
            // SAFETY: the columns of a panel are used only by the task that has the panel, which
            // drops each part before it asks for another.
            unsafe {
                y.part(start + columns.start..start + columns.end)
            }
        };
        let mut sums = Sums::new();
        if pairs.start > 0 {
            for (row, sums) in sums.0.iter_mut().enumerate().take(rows.count) {
                copy(of_row(row), sums);
            }
        }
        self.tile(rows, panel, pairs, &mut sums);
        let is_last = pairs.end == self.shape.pairs();
        let finish = is_last.then(|| (self.factors(panel), bias.map(|bias| &bias[columns.clone()])));
        for (row, sums) in sums.0.iter_mut().enumerate().take(rows.count) {
            if let Some((factors, bias)) = finish {
                sums.iter_mut()
                    .zip(factors)
                    .for_each(|(sum, factor)| *sum *= factor);
                let bias = bias.unwrap_or_default();
                sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
            }
            copy(sums, of_row(row));
        }
    }

    /// `y = activation(x Gᵀ) × x Uᵀ`, `[rows][shape.rows() / 2]`.
    pub(super) fn gated(&self, activation: Activation, y: &mut [f32], parallel: &dyn Parallel) {
        let y = Shared::new(y);
        share(self.cut(2, parallel.threads()), parallel, |couples| {
            let at_once = self.panels_at_once(self.shape.pairs()).div_ceil(2);
            for couples in chunks(couples, at_once) {
                self.pass(couples, |rows, couple| {
                    self.gated_tile(rows, couple, activation, &y)
                });
            }
        });
    }

    fn gated_tile(&self, rows: Rows, couple: usize, activation: Activation, y: &Shared<'_, f32>) {
        let (mut gates, mut ups) = (Sums::new(), Sums::new());
        self.tile(rows, 2 * couple, &(0..self.shape.pairs()), &mut gates);
        self.tile(rows, 2 * couple + 1, &(0..self.shape.pairs()), &mut ups);
        let half = |sums, panel| Half {
            sums,
            factors: self.factors(panel),
        };
        let (gate, up) = (half(&mut gates, 2 * couple), half(&mut ups, 2 * couple + 1));
        gate::finish(self.isa, activation, rows.count, gate, up);
        let width = self.shape.rows() / 2;
        let columns = couple * LANES..((couple + 1) * LANES).min(width);
        for (row, results) in gates.0.iter().enumerate().take(rows.count) {
            let start = (rows.first + row) * width;
            #[expect(unsafe_code, reason = "tasks write different columns")]
            // SAFETY: the columns of a couple of panels are written only by the task that has it.
            let y = unsafe { y.part(start + columns.start..start + columns.end) };
            copy(results, y);
        }
    }

    /// Calls `each` for every tile of rows and every panel.
    fn pass(&self, panels: Range<usize>, each: impl Fn(Rows, usize)) {
        for rows in chunks(0..self.x.rows, self.x.tile_rows) {
            let rows = Rows {
                first: rows.start,
                count: rows.len(),
            };
            panels.clone().for_each(|panel| each(rows, panel));
        }
    }

    /// Adds the products of these rows with the blocks of `pairs`.
    fn tile(&self, rows: Rows, panel: usize, pairs: &Range<usize>, sums: &mut Sums) {
        let (shape, x) = (self.shape, &self.x);
        let packed = &self.packed[panel * shape.panel_bytes()..(panel + 1) * shape.panel_bytes()];
        let (head, records) = packed.split_at(shape.records_start());
        let zero_points = &head[LANES * size_of::<f32>()..];
        // Tiles lie one behind the other, in each of them blocks, then rows.
        let blocks = rows.first * 2 * shape.pairs() + pairs.start * 2 * rows.count;
        let blocks = blocks..blocks + pairs.len() * 2 * rows.count;
        let work = Work {
            block: shape.block(),
            pairs: pairs.len(),
            records: of_each(records, shape.record_bytes(), pairs),
            zero_points: of_each(zero_points, shape.zero_point_bytes(), pairs),
            values: of_each(x.values, shape.block(), &blocks),
            scales: &x.scales[blocks.clone()],
            offsets: &x.offsets[blocks],
        };
        #[expect(unsafe_code, reason = "instructions that were looked for")]
        // SAFETY: `tiles::tiles` chose the tiles for a processor that has their instructions.
        unsafe {
            self.tiles[rows.count - 1](&work, sums);
        }
    }

    fn factors(&self, panel: usize) -> [f32; LANES] {
        factors(&self.packed[panel * self.shape.panel_bytes()..])
    }

    fn pairs_at_once(&self) -> usize {
        if self.has_one_tile() {
            usize::MAX
        } else {
            COLUMNS_AT_ONCE / (2 * self.shape.block())
        }
    }

    fn panels_at_once(&self, pairs: usize) -> usize {
        if self.has_one_tile() {
            usize::MAX
        } else {
            (WEIGHTS_AT_ONCE / (pairs * self.shape.record_bytes())).max(1)
        }
    }

    /// How panels, so many `together`, are divided among threads.
    fn cut(&self, together: usize, threads: usize) -> Cut {
        let count = self.packed.len() / self.shape.panel_bytes() / together;
        if self.has_one_tile() {
            return Cut::falling(count, threads);
        }
        // Every task reads all activations: it should have as many weights as go together.
        let most = self.panels_at_once(self.pairs_at_once().min(self.shape.pairs()));
        Cut::even(count, most.div_ceil(together), threads)
    }

    fn has_one_tile(&self) -> bool {
        self.x.rows <= self.x.tile_rows
    }
}

/// The factors at the start of a panel.
pub(super) fn factors(panel: &[u8]) -> [f32; LANES] {
    let (factors, _) = panel.as_chunks::<{ size_of::<f32>() }>();
    std::array::from_fn(|lane| f32::from_le_bytes(factors[lane]))
}

/// Copies as many as the shorter one has: as one register where both are whole, which all but the
/// last panel's are.
fn copy(from: &[f32], to: &mut [f32]) {
    match (from.as_array::<LANES>(), to.as_mut_array::<LANES>()) {
        (Some(from), Some(to)) => *to = *from,
        _ => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
    }
}

/// The part of `slice` that belongs to `numbers`, `length` elements for each.
fn of_each<'a, T>(slice: &'a [T], length: usize, numbers: &Range<usize>) -> &'a [T] {
    &slice[numbers.start * length..numbers.end * length]
}

/// `range` in pieces of `length`.
fn chunks(range: Range<usize>, length: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(length)
        .map(move |start| start..start.saturating_add(length).min(end))
}

/// Divides panels among tasks.
fn share(cut: Cut, parallel: &dyn Parallel, work: impl Fn(Range<usize>) + Sync) {
    parallel.run(cut.tasks(), &|task| work(cut.task(task)));
}
