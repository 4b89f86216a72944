//! What one step of a model asks of attention, and whether it can be.

use super::{AttentionError, Geometry, Pool, Rotary};

/// New tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'s> {
    /// Row of the first of them. Sequences come in the order of their rows.
    pub first_row: usize,
    /// How many there are.
    pub rows: usize,
    /// Tokens that are in the blocks already.
    pub past: usize,
    /// Blocks of the pool that hold the sequence, the first tokens first. Entries that lie
    /// wholly before the window of the first new token are not looked at.
    pub blocks: &'s [u32],
}

/// Rows of numbers at even distances, such as the keys within packed queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'r> {
    /// Begins with the first row.
    pub numbers: &'r [f32],
    /// From the beginning of a row to that of the next.
    pub stride: usize,
}

impl Rows<'_> {
    fn check(&self, name: &'static str, rows: usize, width: usize) -> Result<(), AttentionError> {
        if rows > 1 && self.stride < width {
            return Err(AttentionError::Stride {
                name,
                stride: self.stride,
                width,
            });
        }
        let last = rows.saturating_sub(1).saturating_mul(self.stride);
        let need = if rows == 0 { 0 } else { last.saturating_add(width) };
        check_length(name, self.numbers.len(), need)
    }

    /// `width` numbers from the beginning of column `column` of a row.
    #[inline(always)]
    pub(super) fn part(&self, row: usize, column: usize, width: usize) -> &[f32] {
        &self.numbers[row * self.stride + column..][..width]
    }
}

/// How attention is computed.
#[derive(Clone, Copy, Debug)]
pub struct Options<'o> {
    /// What the product of a query and a key is multiplied by.
    pub scale: f32,
    /// `softcap * tanh(score / softcap)` instead of each score.
    pub softcap: Option<f32>,
    /// Tokens that a token sees, itself among them.
    pub window: Option<usize>,
    /// For each query head the score of a token that has no value. Zeros make a "smooth" softmax.
    pub sinks: Option<&'o [f32]>,
}

impl Options<'_> {
    pub(super) fn check(&self, query_heads: usize) -> Result<(), AttentionError> {
        let refuse = |name, value: String| Err(AttentionError::Option { name, value });
        if !self.scale.is_finite() {
            return refuse("a scale", self.scale.to_string());
        }
        if let Some(softcap) = self.softcap
            && !(softcap.is_finite() && softcap > 0.0)
        {
            return refuse("a soft cap", softcap.to_string());
        }
        if self.window == Some(0) {
            return refuse("a window", "0".to_owned());
        }
        match self.sinks {
            Some(sinks) if sinks.len() != query_heads => Err(AttentionError::Sinks {
                have: sinks.len(),
                need: query_heads,
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// A step whose arguments fit together.
pub(super) struct Checked<'c> {
    pub(super) geometry: Geometry,
    pub(super) sequences: &'c [Sequence<'c>],
    pub(super) rotary: Option<&'c Rotary<'c>>,
    /// Rows that end where the last sequence ends.
    pub(super) rows: usize,
}

impl<'c> Checked<'c> {
    /// `window` is how much of a sequence is looked at, from its end.
    pub(super) fn new(
        pool: &Pool,
        sequences: &'c [Sequence<'c>],
        rotary: Option<&'c Rotary<'c>>,
        window: Option<usize>,
    ) -> Result<Self, AttentionError> {
        let geometry = *pool.geometry();
        let positions = rotary
            .map(|rotary| rotary.positions(geometry.head_size()))
            .transpose()?;
        let mut rows = 0;
        for (index, sequence) in sequences.iter().enumerate() {
            if sequence.first_row < rows {
                return Err(AttentionError::Overlap {
                    sequence: index,
                    first_row: sequence.first_row,
                });
            }
            rows = sequence.first_row.saturating_add(sequence.rows);
            if sequence.rows == 0 {
                continue;
            }
            check_table(pool, index, sequence, window)?;
            let position = sequence.past + sequence.rows - 1;
            if let Some(positions) = positions
                && position >= positions
            {
                return Err(AttentionError::Position {
                    sequence: index,
                    position,
                    positions,
                });
            }
        }
        Ok(Self {
            geometry,
            sequences,
            rotary,
            rows,
        })
    }

    pub(super) fn check_rows(
        &self,
        name: &'static str,
        rows: &Rows<'_>,
        heads: usize,
    ) -> Result<(), AttentionError> {
        rows.check(name, self.rows, heads * self.geometry.head_size())
    }

    /// The numbers of one head of a row.
    #[inline(always)]
    pub(super) fn head<'r>(&self, rows: &'r Rows<'_>, row: usize, head: usize) -> &'r [f32] {
        let size = self.geometry.head_size();
        rows.part(row, head * size, size)
    }
}

pub(super) fn check_length(name: &'static str, have: usize, need: usize) -> Result<(), AttentionError> {
    if have < need {
        Err(AttentionError::TooShort { name, have, need })
    } else {
        Ok(())
    }
}

fn check_table(
    pool: &Pool,
    index: usize,
    sequence: &Sequence<'_>,
    window: Option<usize>,
) -> Result<(), AttentionError> {
    let geometry = pool.geometry();
    let have = sequence.blocks.len();
    let need = geometry.blocks_for(sequence.past.saturating_add(sequence.rows));
    if have < need {
        return Err(AttentionError::Table {
            sequence: index,
            have,
            need,
        });
    }
    let seen = window.map_or(0, |window| (sequence.past + 1).saturating_sub(window));
    let looked_at = &sequence.blocks[seen / geometry.block_tokens()..need];
    match looked_at.iter().find(|&&block| block as usize >= pool.blocks()) {
        Some(&block) => Err(AttentionError::Block {
            sequence: index,
            block,
            blocks: pool.blocks(),
        }),
        None => Ok(()),
    }
}
