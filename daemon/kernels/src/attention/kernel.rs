//! Scores, weights and weighted sums of a few rows over one partition.

use super::plan::PARTITION;
use super::simd::{LANES, Simd};
use super::stored::{Panel, Square, Stored};
use std::ops::Range;

/// 16 numbers of each of some rows.
pub(super) type Strip<const ROWS: usize> = [[f32; LANES]; ROWS];

/// Panels of a partition.
pub(super) const PANELS: usize = PARTITION / LANES;

/// Tokens of a partition that each row sees, without gaps.
#[derive(Clone, Copy)]
pub(super) struct Seen<const ROWS: usize> {
    pub(super) from: [usize; ROWS],
    pub(super) to: [usize; ROWS],
}

impl<const ROWS: usize> Seen<ROWS> {
    /// Panels with a token that some row sees.
    #[inline(always)]
    fn panels(&self) -> Range<usize> {
        let (mut from, mut to) = (PARTITION, 0);
        for row in 0..ROWS {
            if self.from[row] < self.to[row] {
                from = from.min(self.from[row]);
                to = to.max(self.to[row]);
            }
        }
        if from < to {
            from / LANES..to.div_ceil(LANES)
        } else {
            0..0
        }
    }

    /// What each row sees of a panel.
    #[inline(always)]
    fn within(&self, panel: usize) -> [Range<usize>; ROWS] {
        let mut seen = [const { 0..0 }; ROWS];
        for (row, seen) in seen.iter_mut().enumerate() {
            *seen = within(panel, &(self.from[row]..self.to[row]));
        }
        seen
    }

    /// Tokens that all rows see.
    #[inline(always)]
    fn common(&self) -> Range<usize> {
        let (mut from, mut to) = (0, PARTITION);
        for row in 0..ROWS {
            from = from.max(self.from[row]);
            to = to.min(self.to[row]);
        }
        from..to.max(from)
    }
}

/// The part of `range` that lies in a panel, counted from its beginning.
#[inline(always)]
fn within(panel: usize, range: &Range<usize>) -> Range<usize> {
    let start = panel * LANES;
    range.start.saturating_sub(start).min(LANES)..range.end.saturating_sub(start).min(LANES)
}

/// Sums of some rows: for each its greatest score, the sum of its weights, and the weighted sum
/// of values. Weights are powers of the distance to the greatest score.
pub(super) struct Sums<'s> {
    pub(super) peaks: &'s mut [f32; LANES],
    pub(super) totals: &'s mut [f32; LANES],
    /// As `[size / 16][row][16]`.
    pub(super) values: &'s mut [[f32; LANES]],
}

impl<'s> Sums<'s> {
    #[inline(always)]
    pub(super) fn new(vectors: &'s mut [[f32; LANES]]) -> Self {
        let ([peaks, totals], values) = vectors.split_first_chunk_mut().expect("room for two vectors");
        Self {
            peaks,
            totals,
            values,
        }
    }

    /// Sums over no tokens.
    #[inline(always)]
    pub(super) fn clear(&mut self) {
        *self.peaks = [f32::NEG_INFINITY; LANES];
        *self.totals = [0.0; LANES];
        self.values.fill([0.0; LANES]);
    }

    /// Makes the peaks those of both, and returns what the values of each are to be multiplied by.
    #[inline(always)]
    pub(super) fn meet<S: Simd>(
        &mut self,
        simd: S,
        peaks: &[f32; LANES],
        totals: &[f32; LANES],
    ) -> [[f32; LANES]; 2] {
        let (mine, other) = (simd.load(self.peaks), simd.load(peaks));
        simd.store(simd.max(mine, other), self.peaks);
        let mut base = *self.peaks;
        for base in &mut base {
            if *base == f32::NEG_INFINITY {
                *base = 0.0;
            }
        }
        let base = simd.load(&base);
        let mine = simd.exponent(simd.subtract(mine, base));
        let other = simd.exponent(simd.subtract(other, base));
        let total = simd.multiply(simd.load(totals), other);
        simd.store(
            simd.multiply_add(simd.load(self.totals), mine, total),
            self.totals,
        );
        let mut factors = [[0.0; LANES]; 2];
        simd.store(mine, &mut factors[0]);
        simd.store(other, &mut factors[1]);
        factors
    }

    /// Adds the sums of as many rows over later tokens.
    #[inline(always)]
    pub(super) fn add<S: Simd>(&mut self, simd: S, later: &Sums<'_>, rows: usize) {
        let [mine, other] = self.meet(simd, later.peaks, later.totals);
        for (index, (sum, values)) in self.values.iter_mut().zip(later.values.iter()).enumerate() {
            let row = index % rows;
            blend(simd, sum, mine[row], simd.load(values), other[row]);
        }
    }
}

#[inline(always)]
fn blend<S: Simd>(simd: S, sum: &mut [f32; LANES], mine: f32, values: S::Vector, other: f32) {
    let values = simd.multiply(values, simd.splat(other));
    simd.store(simd.multiply_add(simd.load(sum), simd.splat(mine), values), sum);
}

/// What to ask the memory for, ahead of its use.
#[derive(Clone, Copy)]
pub(super) enum Ahead<'p, E> {
    /// Nothing: other rows have used all of it.
    Nothing,
    /// Values of this partition, and keys and values of the next one.
    Partition {
        /// Whether nobody asked for these values yet.
        values: bool,
        next: &'p [Panel<'p, E>; PANELS],
    },
}

/// Some rows of queries over the panels of one partition.
pub(super) struct Pass<'p, E, const ROWS: usize> {
    /// Scaled, as `[size / 16][row][16]`.
    pub(super) queries: &'p [Strip<ROWS>],
    pub(super) panels: &'p [Panel<'p, E>; PANELS],
    pub(super) seen: Seen<ROWS>,
    pub(super) softcap: Option<f32>,
    /// What comes from memory while this is computed.
    pub(super) ahead: Ahead<'p, E>,
    /// Room for scores, as `[token / 16][row][16]`.
    pub(super) scores: &'p mut [Strip<ROWS>; PANELS],
}

impl<E: Stored, const ROWS: usize> Pass<'_, E, ROWS> {
    /// Adds what the rows see in this partition.
    #[inline(always)]
    pub(super) fn run<S: Simd>(self, simd: S, sums: &mut Sums<'_>) {
        let Self {
            queries,
            panels,
            seen,
            softcap,
            ahead,
            scores,
        } = self;
        let range = seen.panels();
        if range.is_empty() {
            return;
        }
        for panel in range.clone() {
            let mut products = [simd.splat(0.0); ROWS];
            let Panel { keys, values, .. } = &panels[panel];
            for (column, (queries, keys)) in queries.iter().zip(*keys).enumerate() {
                if let Ahead::Partition { values: asks, next } = ahead {
                    fetch(next[panel].keys.get(column), |line| simd.prefetch_far(line));
                    if asks {
                        fetch(values.get(column), |line| simd.prefetch(line));
                    }
                }
                simd.multiply_square(queries, keys, &mut products);
            }
            for (product, scores) in products.into_iter().zip(&mut scores[panel]) {
                simd.store(product, scores);
            }
        }
        let mut peaks = [f32::NEG_INFINITY; LANES];
        let mut totals = [0.0; LANES];
        for row in 0..ROWS {
            let scores = scores.as_flattened_mut();
            let mut line = Line {
                panels,
                scores,
                rows: ROWS,
                row,
                range: range.clone(),
            };
            line.scale(simd, softcap);
            line.mask(seen.from[row]..seen.to[row]);
            (peaks[row], totals[row]) = line.weigh(simd);
        }
        let [mine, other] = sums.meet(simd, &peaks, &totals);
        let common = seen.common();
        let strips: &mut [Strip<ROWS>] = sums.values.as_chunks_mut().0;
        for (column, strip) in strips.iter_mut().enumerate() {
            let mut values = [simd.splat(0.0); ROWS];
            for panel in range.clone() {
                if let Ahead::Partition { next, .. } = ahead {
                    fetch(next[panel].values.get(column), |line| simd.prefetch_far(line));
                }
                let square = &panels[panel].values[column];
                let weights = &scores[panel];
                if within(panel, &common) == (0..LANES) {
                    simd.multiply_square(weights, square, &mut values);
                } else {
                    edge(simd, weights, square, &seen.within(panel), &mut values);
                }
            }
            for row in 0..ROWS {
                blend(simd, &mut strip[row], mine[row], values[row], other[row]);
            }
        }
    }
}

/// Scores of one row.
struct Line<'l, E> {
    panels: &'l [Panel<'l, E>; PANELS],
    /// Of all rows, as `[token / 16][row][16]`.
    scores: &'l mut [[f32; LANES]],
    rows: usize,
    row: usize,
    range: Range<usize>,
}

impl<E: Stored> Line<'_, E> {
    #[inline(always)]
    fn at(&mut self, panel: usize) -> &mut [f32; LANES] {
        &mut self.scores[panel * self.rows + self.row]
    }

    /// Scales of the tokens and the soft cap.
    #[inline(always)]
    fn scale<S: Simd>(&mut self, simd: S, softcap: Option<f32>) {
        if !E::SCALED && softcap.is_none() {
            return;
        }
        for panel in self.range.clone() {
            let mut score = simd.load(self.at(panel));
            if E::SCALED {
                score = simd.multiply(score, simd.load(&self.panels[panel].scales[0]));
            }
            if let Some(softcap) = softcap {
                let part = simd.multiply(score, simd.splat(1.0 / softcap));
                score = simd.multiply(simd.splat(softcap), simd.tangent(part));
            }
            simd.store(score, self.at(panel));
        }
    }

    /// Takes away scores of tokens that the row does not see.
    #[inline(always)]
    fn mask(&mut self, seen: Range<usize>) {
        for panel in self.range.clone() {
            let seen = within(panel, &seen);
            if seen == (0..LANES) {
                continue;
            }
            let scores = self.at(panel);
            scores[..seen.start].fill(f32::NEG_INFINITY);
            scores[seen.end..].fill(f32::NEG_INFINITY);
        }
    }

    /// Makes weights of the scores. Returns the greatest score and the sum of the weights.
    #[inline(always)]
    fn weigh<S: Simd>(&mut self, simd: S) -> (f32, f32) {
        let mut greatest = simd.splat(f32::NEG_INFINITY);
        for panel in self.range.clone() {
            greatest = simd.max(greatest, simd.load(self.at(panel)));
        }
        let peak = across(simd, greatest, f32::max);
        let base = simd.splat(if peak == f32::NEG_INFINITY { 0.0 } else { peak });
        let mut sum = simd.splat(0.0);
        for panel in self.range.clone() {
            let mut weight = simd.exponent(simd.subtract(simd.load(self.at(panel)), base));
            sum = simd.add(sum, weight);
            if E::SCALED {
                weight = simd.multiply(weight, simd.load(&self.panels[panel].scales[1]));
            }
            simd.store(weight, self.at(panel));
        }
        (peak, across(simd, sum, |a, b| a + b))
    }
}

/// Tokens of a panel that not all rows see: what a row does not see must not reach it, not even
/// as a product with 0, which a value that is not a number survives.
#[inline(always)]
fn edge<S: Simd, E: Stored, const ROWS: usize>(
    simd: S,
    weights: &Strip<ROWS>,
    square: &Square<E>,
    seen: &[Range<usize>; ROWS],
    sums: &mut [S::Vector; ROWS],
) {
    for row in 0..ROWS {
        let mut sum = sums[row];
        for lane in seen[row].clone() {
            let numbers = E::load(simd, &square[lane]);
            sum = simd.multiply_add(simd.splat(weights[row][lane]), numbers, sum);
        }
        sums[row] = sum;
    }
}

/// Adds the products of rows of 16 numbers with a square.
#[inline(always)]
pub(super) fn multiply<S: Simd, E: Stored, const ROWS: usize>(
    simd: S,
    rows: &Strip<ROWS>,
    square: &Square<E>,
    sums: &mut [S::Vector; ROWS],
) {
    let mut registers = *sums;
    for (index, numbers) in square.iter().enumerate() {
        let numbers = E::load(simd, numbers);
        for (sum, row) in registers.iter_mut().zip(rows) {
            *sum = simd.multiply_add(simd.splat(row[index]), numbers, *sum);
        }
    }
    *sums = registers;
}

/// Calls `each` with the beginning of each cache line of a square.
#[inline(always)]
fn fetch<E>(square: Option<&Square<E>>, each: impl Fn(&[E; LANES])) {
    if let Some(square) = square {
        square.iter().step_by(64 / size_of::<[E; LANES]>()).for_each(each);
    }
}

/// Puts the numbers of a vector together, halves first.
#[inline(always)]
fn across<S: Simd>(simd: S, vector: S::Vector, join: fn(f32, f32) -> f32) -> f32 {
    let mut numbers = [0.0; LANES];
    simd.store(vector, &mut numbers);
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            numbers[lane] = join(numbers[lane], numbers[lane + half]);
        }
        half /= 2;
    }
    numbers[0]
}
