//! One task: the rows of a tile that share one head of keys and values.

use super::Attend;
use super::kernel::{Ahead, PANELS, Pass, Seen, Strip, Sums};
use super::plan::{PARTITION, Tile};
use super::rotary::rotated;
use super::simd::{Job, LANES, Simd};
use super::step::{Checked, Sequence};
use super::stored::{Panel, Stored};
use crate::shared::Shared;
use std::marker::PhantomData;
use std::ops::Range;
use std::slice::ChunksExactMut;

/// What all tasks of a step share.
pub(super) struct Common<'c> {
    pub(super) step: &'c Checked<'c>,
    pub(super) call: &'c Attend<'c>,
    pub(super) pool: &'c [u8],
    pub(super) out: Shared<'c, f32>,
}

/// The rows of a task.
#[derive(Clone, Copy)]
pub(super) struct Piece<'p> {
    pub(super) common: &'p Common<'p>,
    pub(super) tile: &'p Tile,
    /// Of keys and values.
    pub(super) head: usize,
}

/// Rows that are computed at once, so that the registers hold their sums.
fn strip_rows(most: usize, rows: usize) -> usize {
    most.min(rows.next_power_of_two())
}

/// Rotates and scales the queries, as `[strip][size / 16][row][16]`.
pub(super) struct Prepare<'t> {
    pub(super) piece: Piece<'t>,
    pub(super) queries: &'t mut [f32],
    pub(super) head: &'t mut [f32],
}

impl Job for Prepare<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { piece, queries, head } = self;
        let Common { step, call, .. } = piece.common;
        let scale = simd.splat(call.options.scale);
        let (rows, [vectors, _]) = (piece.strip_rows::<S>(), piece.strip_vectors::<S>());
        let head = &mut head.as_chunks_mut::<LANES>().0[..vectors / rows];
        let queries = queries.as_chunks_mut::<LANES>().0;
        for row in 0..piece.rows().next_multiple_of(rows) {
            let (token, query_head) = piece.row(row);
            let sequence = piece.sequence();
            let query = step.head(&call.queries, sequence.first_row + token, query_head);
            rotated(step.rotary, sequence.past + token, query, head);
            let strip = &mut queries[row / rows * vectors..][..vectors];
            for (to, from) in strip.chunks_exact_mut(rows).zip(head.iter()) {
                simd.store(simd.multiply(simd.load(from), scale), &mut to[row % rows]);
            }
        }
    }
}

/// Adds partitions to the sums of all rows, which are empty at first.
pub(super) struct Add<'t, E> {
    pub(super) piece: Piece<'t>,
    pub(super) partitions: Range<usize>,
    pub(super) queries: &'t [f32],
    pub(super) scores: &'t mut [f32],
    pub(super) states: &'t mut [f32],
    pub(super) element: PhantomData<E>,
}

impl<E: Stored> Job for Add<'_, E> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.piece.strip_rows::<S>() {
            1 => self.run_strips::<S, 1>(simd),
            2 => self.run_strips::<S, 2>(simd),
            4 if S::ROWS >= 4 => self.run_strips::<S, 4>(simd),
            8 if S::ROWS >= 8 => self.run_strips::<S, 8>(simd),
            _ => unreachable!("strips have 1, 2, 4 or 8 rows"),
        }
    }
}

impl<E: Stored> Add<'_, E> {
    #[inline(always)]
    fn run_strips<S: Simd, const ROWS: usize>(self, simd: S) {
        let Self {
            piece,
            partitions,
            queries,
            scores,
            states,
            ..
        } = self;
        let queries = queries.as_chunks::<LANES>().0.as_chunks::<ROWS>().0;
        let scores = scores.as_chunks_mut::<LANES>().0.as_chunks_mut::<ROWS>().0;
        let scores: &mut [Strip<ROWS>; PANELS] = scores.first_chunk_mut().expect("room for all panels");
        let vectors = piece.common.step.geometry.vectors();
        for state in piece.states::<S>(states) {
            Sums::new(state).clear();
        }
        let mut panels = piece.panels::<E>(partitions.start);
        for partition in partitions.clone() {
            // Also where another task has the next one: threads share a cache.
            let next = piece.panels::<E>(partition + 1);
            let strips = queries.chunks_exact(vectors).zip(piece.states::<S>(states));
            for (index, (queries, state)) in strips.enumerate() {
                let pass = Pass {
                    queries,
                    panels: &panels,
                    seen: piece.seen(index * ROWS, partition),
                    softcap: piece.common.call.options.softcap,
                    ahead: if index == 0 {
                        Ahead::Partition {
                            values: partition == piece.tile.start,
                            next: &next,
                        }
                    } else {
                        Ahead::Nothing
                    },
                    scores: &mut *scores,
                };
                pass.run(simd, &mut Sums::new(state));
            }
            panels = next;
        }
    }
}

/// Puts the sums of partitions that were computed alone together, the first ones first.
pub(super) struct Join<'t> {
    pub(super) piece: Piece<'t>,
    pub(super) partial: &'t Shared<'t, f32>,
    pub(super) states: &'t mut [f32],
}

impl Job for Join<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            piece,
            partial,
            states,
        } = self;
        let rows = piece.strip_rows::<S>();
        for state in piece.states::<S>(states) {
            Sums::new(state).clear();
        }
        for partition in piece.tile.partitions() {
            // SAFETY: the tasks that wrote sums have ended, and those of a tile and head are read
            // by the task of that tile and head alone.
            #[expect(unsafe_code, reason = "reads what other tasks wrote")]
            let partial = unsafe { partial.part(piece.partial(partition)) };
            for (state, partial) in piece.states::<S>(states).zip(piece.states::<S>(partial)) {
                Sums::new(state).add(simd, &Sums::new(partial), rows);
            }
        }
    }
}

/// Writes what the sums come to.
pub(super) struct Finish<'t> {
    pub(super) piece: Piece<'t>,
    pub(super) states: &'t mut [f32],
}

impl Job for Finish<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { piece, states } = self;
        let geometry = &piece.common.step.geometry;
        let (rows, size) = (piece.strip_rows::<S>(), geometry.head_size());
        for (index, state) in piece.states::<S>(states).enumerate() {
            let sums = Sums::new(state);
            let factors = piece.factors(simd, index * rows, sums.peaks, sums.totals);
            for row in index * rows..((index + 1) * rows).min(piece.rows()) {
                let (token, query_head) = piece.row(row);
                let start = (piece.sequence().first_row + token) * geometry.query_heads() + query_head;
                // SAFETY: each row and head belongs to one task, as the rows of sequences do not
                // overlap.
                #[expect(unsafe_code, reason = "tasks write different rows and heads")]
                let out = unsafe { piece.common.out.part(start * size..(start + 1) * size) };
                for (out, strip) in out.chunks_mut(LANES).zip(sums.values.chunks_exact(rows)) {
                    for (out, value) in out.iter_mut().zip(&strip[row % rows]) {
                        *out = value * factors[row % rows];
                    }
                }
            }
        }
    }
}

impl<'p> Piece<'p> {
    pub(super) fn rows(&self) -> usize {
        self.tile.tokens * self.common.step.geometry.group()
    }

    fn sequence(&self) -> &'p Sequence<'p> {
        &self.common.step.sequences[self.tile.sequence]
    }

    /// New token of the sequence and query head of a row. Rows that fill up the last strip are
    /// as the last one.
    #[inline(always)]
    fn row(&self, row: usize) -> (usize, usize) {
        let group = self.common.step.geometry.group();
        let row = row.min(self.rows() - 1);
        (self.tile.first + row / group, self.head * group + row % group)
    }

    #[inline(always)]
    fn strip_rows<S: Simd>(&self) -> usize {
        strip_rows(S::ROWS, self.rows())
    }

    /// Vectors of the queries of one strip, and of its sums.
    #[inline(always)]
    fn strip_vectors<S: Simd>(&self) -> [usize; 2] {
        let vectors = self.common.step.geometry.vectors() * self.strip_rows::<S>();
        [vectors, vectors + 2]
    }

    /// The sums of each strip of rows.
    #[inline(always)]
    fn states<'s, S: Simd>(&self, states: &'s mut [f32]) -> ChunksExactMut<'s, [f32; LANES]> {
        let [_, vectors] = self.strip_vectors::<S>();
        let strips = self.rows().div_ceil(self.strip_rows::<S>());
        states.as_chunks_mut().0[..strips * vectors].chunks_exact_mut(vectors)
    }

    /// Where the sums of a partition lie among those of all.
    pub(super) fn partial(&self, partition: usize) -> Range<usize> {
        self.tile
            .partial(partition, self.head, self.common.step.geometry.key_value_heads())
    }

    /// The panels of a partition that a token of the tile sees; none behind its last one.
    #[inline(always)]
    fn panels<E: Stored>(&self, partition: usize) -> [Panel<'p, E>; PANELS] {
        let geometry = &self.common.step.geometry;
        if partition >= self.tile.end {
            return [Panel::NONE; PANELS];
        }
        let first = self.seen::<1>(0, partition);
        let last = self.seen::<1>(self.rows() - 1, partition);
        let mut panels = [Panel::NONE; PANELS];
        let range = first.from[0] / LANES..last.to[0].div_ceil(LANES);
        for (index, panel) in panels[range.clone()].iter_mut().enumerate() {
            let position = partition * PARTITION + (range.start + index) * LANES;
            let offset = geometry.panel_offset(self.sequence().blocks, position, self.head);
            *panel = Panel::new(geometry, self.common.pool, offset);
        }
        panels
    }

    /// What rows from `row` on see of a partition.
    #[inline(always)]
    fn seen<const ROWS: usize>(&self, row: usize, partition: usize) -> Seen<ROWS> {
        let start = partition * PARTITION;
        let mut seen = Seen {
            from: [0; ROWS],
            to: [0; ROWS],
        };
        for index in 0..ROWS {
            let end = self.sequence().past + self.row(row + index).0 + 1;
            let from = self
                .common
                .call
                .options
                .window
                .map_or(0, |window| end.saturating_sub(window));
            seen.from[index] = from.saturating_sub(start).min(PARTITION);
            seen.to[index] = end.saturating_sub(start).min(PARTITION);
        }
        seen
    }

    /// What makes weighted means of the sums, the sinks among the weights.
    #[inline(always)]
    fn factors<S: Simd>(
        &self,
        simd: S,
        row: usize,
        peaks: &[f32; LANES],
        totals: &[f32; LANES],
    ) -> [f32; LANES] {
        let (peak, mut total) = (simd.load(peaks), simd.load(totals));
        let mut factor = simd.splat(1.0);
        if let Some(sinks) = self.common.call.options.sinks {
            let mut sink = [0.0; LANES];
            for (index, sink) in sink[..S::ROWS].iter_mut().enumerate() {
                *sink = sinks[self.row(row + index).1];
            }
            let sink = simd.load(&sink);
            let base = simd.max(peak, sink);
            factor = simd.exponent(simd.subtract(peak, base));
            total = simd.multiply_add(total, factor, simd.exponent(simd.subtract(sink, base)));
        }
        let mut factors = [0.0; LANES];
        simd.store(simd.divide(factor, total), &mut factors);
        factors
    }
}
