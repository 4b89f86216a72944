//! How a step is cut into tasks.
//!
//! What is computed for a row does not depend on the cut: the keys of a sequence are always taken
//! in the same partitions, each is summed up alone, and the sums are put together from the first
//! to the last. So the cut can follow the number of threads and what else is in the step.

use super::LANES;
use super::step::{Checked, Sequence};
use std::ops::Range;

/// Tokens of a partition.
pub(super) const PARTITION: usize = 256;
/// Rows of queries that share what is read of a partition.
const TILE_ROWS: usize = 128;
/// Rows that are computed at once are rounded up to at most so many.
const MOST_ROWS: usize = 8;
/// Tasks of each thread, so that none waits long for the last.
const TASKS_PER_THREAD: usize = 4;
/// Pieces of a task follow each other, so that one is read while the one before is computed: so
/// many, as far as there are a few times as many tasks as threads.
const PIECES_PER_TASK: usize = 8;
/// Numbers that sums of partitions may take.
const MOST_PARTIAL: usize = 4 << 20;

/// Neighbouring new tokens of a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) sequence: usize,
    /// Its first token, counted from the first new one of the sequence.
    pub(super) first: usize,
    pub(super) tokens: usize,
    /// Partitions that one of the tokens sees.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Where sums of its first partition lie.
    partial: usize,
    /// Numbers of the sums of one partition and head.
    sums: usize,
}

impl Tile {
    fn new(
        sequence: &Sequence<'_>,
        index: usize,
        first: usize,
        tokens: usize,
        window: Option<usize>,
    ) -> Self {
        let position = sequence.past + first;
        let seen = window.map_or(0, |window| (position + 1).saturating_sub(window));
        let (start, end) = (seen / PARTITION, (position + tokens).div_ceil(PARTITION));
        Self {
            sequence: index,
            first,
            tokens,
            start,
            end,
            partial: 0,
            sums: 0,
        }
    }

    pub(super) fn partitions(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Where the sums of a partition and head lie among those of all.
    pub(super) fn partial(&self, partition: usize, head: usize, heads: usize) -> Range<usize> {
        let start = self.partial + ((partition - self.start) * heads + head) * self.sums;
        start..start + self.sums
    }

    fn cost(&self) -> usize {
        self.tokens * (self.end - self.start)
    }
}

/// The tasks of a step; kept so that its memory is used again.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The costliest first.
    pub(super) tiles: Vec<Tile>,
    /// Tiles and partitions that are computed alone; none where each tile is computed as a whole.
    pub(super) pieces: Vec<(usize, usize)>,
    /// Numbers that sums of partitions take.
    pub(super) partial: usize,
}

impl Plan {
    pub(super) fn make(&mut self, step: &Checked<'_>, window: Option<usize>, threads: usize) {
        let heads = step.geometry.key_value_heads();
        let enough = if threads > 1 {
            threads * TASKS_PER_THREAD
        } else {
            0
        };
        let mut tokens = (TILE_ROWS / step.geometry.group()).max(1);
        self.cut(step, window, tokens);
        while tokens > 1 && tokens * step.geometry.group() > MOST_ROWS && self.tiles.len() * heads < enough {
            tokens = tokens.div_ceil(2);
            self.cut(step, window, tokens);
        }
        self.tiles
            .sort_unstable_by_key(|tile| (std::cmp::Reverse(tile.cost()), tile.sequence, tile.first));
        self.split(step, enough);
    }

    /// Pieces of a task.
    pub(super) fn run(&self, heads: usize, threads: usize) -> usize {
        (self.pieces.len() * heads / (threads * 2 * TASKS_PER_THREAD)).clamp(1, PIECES_PER_TASK)
    }

    fn cut(&mut self, step: &Checked<'_>, window: Option<usize>, tokens: usize) {
        self.tiles.clear();
        for (index, sequence) in step.sequences.iter().enumerate() {
            for first in (0..sequence.rows).step_by(tokens) {
                let tokens = tokens.min(sequence.rows - first);
                self.tiles.push(Tile::new(sequence, index, first, tokens, window));
            }
        }
    }

    fn split(&mut self, step: &Checked<'_>, enough: usize) {
        let heads = step.geometry.key_value_heads();
        self.pieces.clear();
        self.partial = 0;
        if self.tiles.len() * heads >= enough || self.tiles.iter().all(|tile| tile.end - tile.start < 2) {
            return;
        }
        for tile in &mut self.tiles {
            tile.partial = self.partial;
            tile.sums = state_numbers(tile.tokens * step.geometry.group(), step.geometry.vectors());
            self.partial += tile.sums * heads * (tile.end - tile.start);
        }
        if self.partial > MOST_PARTIAL {
            self.partial = 0;
            return;
        }
        for (index, tile) in self.tiles.iter().enumerate() {
            self.pieces
                .extend(tile.partitions().map(|partition| (index, partition)));
        }
    }
}

/// Room for the sums of so many rows, however many are computed at once.
pub(super) fn state_numbers(rows: usize, vectors: usize) -> usize {
    rows.next_multiple_of(MOST_ROWS) * (vectors + 2) * LANES
}
