//! Steps with random numbers, and what they should come to.

use super::reference::{Angles, Query, expected};
use super::*;
use half::f16;

/// Numbers that look random and are the same each time.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.bits() as usize % limit
    }

    pub(super) fn number(&mut self) -> f32 {
        (self.bits() & 0xffff) as f32 / 32_768.0 - 1.0
    }

    /// A head whose numbers a cache of this kind keeps exactly.
    fn head(&mut self, size: usize, element: Element) -> Vec<f32> {
        let head = (0..size).map(|index| match element {
            Element::F32 => 2.0 * self.number(),
            Element::F16 => f16::from_f32(2.0 * self.number()).to_f32(),
            Element::I8 if index == 0 => 127.0 / 64.0,
            Element::I8 => (self.below(255) as f32 - 127.0) / 64.0,
        });
        head.collect()
    }
}

/// Queries, keys and values of all tokens of a sequence, and where it lies.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) past: usize,
    pub(super) rows: usize,
    pub(super) blocks: Vec<u32>,
    /// Of the new tokens.
    pub(super) queries: Vec<f32>,
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

#[derive(Clone)]
pub(super) struct Case {
    pub(super) geometry: Geometry,
    pub(super) sequences: Vec<Tokens>,
    pub(super) angles: Option<Angles>,
    pub(super) scale: f32,
    pub(super) softcap: Option<f32>,
    pub(super) window: Option<usize>,
    pub(super) sinks: Option<Vec<f32>>,
}

pub(super) fn pool_blocks(case: &Case) -> usize {
    case.sequences
        .iter()
        .map(|tokens| tokens.blocks.len())
        .sum::<usize>()
        + 3
}

impl Case {
    /// Sequences of these past and new tokens, in blocks that lie anywhere.
    pub(super) fn new(geometry: Geometry, lengths: &[(usize, usize)], random: &mut Random) -> Self {
        let tables = |(past, rows): &(usize, usize)| geometry.blocks_for(past + rows);
        let total: usize = lengths.iter().map(tables).sum();
        let mut free: Vec<u32> = (0..total as u32 + 3).collect();
        let sequences = lengths.iter().map(|&(past, rows)| {
            let blocks = (0..geometry.blocks_for(past + rows))
                .map(|_| free.swap_remove(random.below(free.len())))
                .collect();
            let mut heads = |count: usize, element| -> Vec<f32> {
                (0..count)
                    .flat_map(|_| random.head(geometry.head_size(), element))
                    .collect()
            };
            let queries = heads(rows * geometry.query_heads(), Element::F32);
            let all = (past + rows) * geometry.key_value_heads();
            let [keys, values] = [(); 2].map(|()| heads(all, geometry.element()));
            Tokens {
                past,
                rows,
                blocks,
                queries,
                keys,
                values,
            }
        });
        let sequences = sequences.collect();
        let scale = 1.0 / (geometry.head_size() as f32).sqrt();
        Self {
            geometry,
            sequences,
            angles: None,
            scale,
            softcap: None,
            window: None,
            sinks: None,
        }
    }

    /// A pool with the tokens of all sequences.
    pub(super) fn pool(&self, isa: Isa, parallel: &dyn Parallel) -> Pool {
        let mut pool = Pool::new(self.geometry, pool_blocks(self)).unwrap();
        let width = self.geometry.key_value_heads() * self.geometry.head_size();
        let tables = self.angles.as_ref().map(Angles::tables);
        for tokens in &self.sequences {
            // The past in one step, the new tokens in another.
            for (from, rows) in [(0, tokens.past), (tokens.past, tokens.rows)] {
                let blocks = &tokens.blocks[..];
                let sequence = Sequence {
                    first_row: 0,
                    rows,
                    past: from,
                    blocks,
                };
                let rows = |numbers: &[f32]| -> Vec<f32> { numbers[from * width..].to_vec() };
                let (keys, values) = (rows(&tokens.keys), rows(&tokens.values));
                let new = Append {
                    sequences: &[sequence],
                    keys: Rows {
                        numbers: &keys,
                        stride: width,
                    },
                    values: Rows {
                        numbers: &values,
                        stride: width,
                    },
                    rotary: tables.as_ref().map(|tables| tables.rotary()),
                };
                append(&mut pool, &new, isa, parallel).unwrap();
            }
        }
        pool
    }

    /// Attention of the new tokens of these sequences in one step, for each its rows.
    pub(super) fn attend(
        &self,
        pool: &Pool,
        which: &[usize],
        isa: Isa,
        parallel: &dyn Parallel,
        scratch: &mut Scratch,
    ) -> Vec<Vec<f32>> {
        let width = self.geometry.query_heads() * self.geometry.head_size();
        // A gap before the rows of each sequence, and rows that are part of wider ones.
        let stride = width + 5;
        let mut queries = vec![];
        let mut sequences = vec![];
        for &index in which {
            let tokens = &self.sequences[index];
            queries.resize(queries.len() + stride, f32::NAN);
            let first_row = queries.len() / stride;
            sequences.push(Sequence {
                first_row,
                rows: tokens.rows,
                past: tokens.past,
                blocks: &tokens.blocks,
            });
            for row in tokens.queries.chunks(width) {
                queries.extend_from_slice(row);
                queries.resize(queries.len() + 5, f32::NAN);
            }
        }
        let tables = self.angles.as_ref().map(Angles::tables);
        let call = Attend {
            sequences: &sequences,
            queries: Rows {
                numbers: &queries,
                stride,
            },
            rotary: tables.as_ref().map(|tables| tables.rotary()),
            options: Options {
                scale: self.scale,
                softcap: self.softcap,
                window: self.window,
                sinks: self.sinks.as_deref(),
            },
        };
        let mut out = vec![77.0; queries.len() / stride * width];
        attend(pool, &call, &mut out, scratch, isa, parallel).unwrap();
        let rows = |sequence: &Sequence<'_>| {
            let gap = &out[(sequence.first_row - 1) * width..][..width];
            assert!(
                gap.iter().all(|&number| number == 77.0),
                "rows of no sequence are left alone"
            );
            out[sequence.first_row * width..][..sequence.rows * width].to_vec()
        };
        sequences.iter().map(rows).collect()
    }

    /// The same in double precision.
    pub(super) fn expected(&self, index: usize) -> Vec<f64> {
        let tokens = &self.sequences[index];
        let rows = (0..tokens.rows).flat_map(|row| {
            (0..self.geometry.query_heads())
                .flat_map(move |head| expected(self, &Query { tokens, row, head }))
        });
        rows.collect()
    }

    /// Fails where results are farther from what they should be than `bound`.
    pub(super) fn check(&self, isa: Isa, parallel: &dyn Parallel, bound: f64) {
        let pool = self.pool(isa, parallel);
        let all: Vec<usize> = (0..self.sequences.len()).collect();
        let results = self.attend(&pool, &all, isa, parallel, &mut Scratch::default());
        for (index, result) in results.iter().enumerate() {
            for (place, (have, want)) in result.iter().zip(self.expected(index)).enumerate() {
                let error = (f64::from(*have) - want).abs();
                assert!(
                    error <= bound,
                    "{isa}: sequence {index}, {place}: {have} instead of {want}"
                );
            }
        }
    }
}
