//! Matrices as `MatMulInteger` and `DequantizeLinear` have them, in the layout of `MatMulNBits`.

/// Rows and columns that are turned around together: both lines fit into a cache.
const TILE: usize = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Columns that share a scale in the result.
    pub(super) block: usize,
    /// Columns that share a scale as it is given, a multiple of `block`; 0 for all.
    pub(super) own_block: usize,
    /// The weights are `[columns][rows]`.
    pub(super) is_transposed: bool,
    pub(super) is_signed: bool,
    /// Weights and zero points have 4 bits, the first one of a byte in its low bits.
    pub(super) is_half_byte: bool,
}

impl Layout {
    /// `[rows][blocks][block]`; what fills up the last block counts nothing, as activations there
    /// are 0.
    pub(super) fn weights(&self, weights: &[u8]) -> Vec<u8> {
        let mut out = vec![0; self.rows * self.row_bytes()];
        for row in (0..self.rows).step_by(TILE) {
            for column in (0..self.columns).step_by(TILE) {
                self.tile(weights, &mut out, row, column);
            }
        }
        out
    }

    fn tile(&self, weights: &[u8], out: &mut [u8], row: usize, column: usize) {
        let width = self.row_bytes();
        for row in row..(row + TILE).min(self.rows) {
            let out = &mut out[row * width..][..width];
            for column in column..(column + TILE).min(self.columns) {
                let at = if self.is_transposed {
                    column * self.rows + row
                } else {
                    row * self.columns + column
                };
                self.put(out, column, self.number(weights, at));
            }
        }
    }

    /// `[rows][blocks]` of one for all, one for each row, or one for each block.
    pub(super) fn of_blocks<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let blocks = self.blocks();
        let at = |row: usize, block: usize| {
            let own = (block * self.block).checked_div(self.own_block);
            match own {
                _ if values.len() == 1 => 0,
                None => row,
                Some(own) if self.is_transposed => own * self.rows + row,
                Some(own) => row * self.columns.div_ceil(self.own_block) + own,
            }
        };
        (0..self.rows)
            .flat_map(|row| (0..blocks).map(move |block| values[at(row, block)]))
            .collect()
    }

    /// As [`of_blocks`](Self::of_blocks), of so many numbers; each row fills whole bytes.
    pub(super) fn zero_points(&self, points: &[u8], count: usize) -> Vec<u8> {
        let numbers: Vec<u8> = (0..count).map(|at| self.number(points, at)).collect();
        let each = self.of_blocks(&numbers);
        if !self.is_half_byte {
            return each;
        }
        let width = self.blocks().div_ceil(2);
        let mut out = vec![0; self.rows * width];
        for (row, numbers) in out.chunks_exact_mut(width).zip(each.chunks_exact(self.blocks())) {
            for (at, &number) in numbers.iter().enumerate() {
                self.put(row, at, number);
            }
        }
        out
    }

    fn blocks(&self) -> usize {
        self.columns.div_ceil(self.block)
    }

    fn row_bytes(&self) -> usize {
        let width = self.blocks() * self.block;
        if self.is_half_byte { width / 2 } else { width }
    }

    /// A number, counted from the least.
    fn number(&self, bytes: &[u8], at: usize) -> u8 {
        let middle = if self.is_signed { self.middle() } else { 0 };
        if self.is_half_byte {
            (bytes[at / 2] >> (at % 2 * 4)).wrapping_add(middle) & 15
        } else {
            bytes[at].wrapping_add(middle)
        }
    }

    /// What is added to a number with a sign so that it counts from 0.
    fn middle(&self) -> u8 {
        if self.is_half_byte { 8 } else { 128 }
    }

    /// Into bytes that are 0.
    fn put(&self, out: &mut [u8], at: usize, number: u8) {
        if self.is_half_byte {
            out[at / 2] |= number << (at % 2 * 4);
        } else {
            out[at] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [bool; 2] = [false, true];

    /// The number at a place of packed bytes.
    fn number(bytes: &[u8], at: usize, is_half_byte: bool) -> u8 {
        if is_half_byte {
            (bytes[at / 2] >> (at % 2 * 4)) & 15
        } else {
            bytes[at]
        }
    }

    /// What every weight counts, from the result of [`Layout`].
    fn values(layout: &Layout, weights: &[u8], scales: &[f32], points: Option<&[u8]>) -> Vec<f32> {
        let (width, blocks) = (layout.blocks() * layout.block, layout.blocks());
        let point_row = if layout.is_half_byte {
            blocks.next_multiple_of(2)
        } else {
            blocks
        };
        let of = |row: usize, column: usize| {
            let block = column / layout.block;
            let point = points.map_or(layout.middle(), |points| {
                number(points, row * point_row + block, layout.is_half_byte)
            });
            let weight = number(weights, row * width + column, layout.is_half_byte);
            (f32::from(weight) - f32::from(point)) * scales[row * blocks + block]
        };
        (0..layout.rows)
            .flat_map(|row| (0..layout.columns).map(move |column| of(row, column)))
            .collect()
    }

    /// What every weight counts as the standard has it.
    fn expected(layout: &Layout, weights: &[u8], scales: &[f32], points: &[u8]) -> Vec<f32> {
        let signed = |bytes: &[u8], at: usize| {
            let stored = number(bytes, at, layout.is_half_byte);
            let range = if layout.is_half_byte { 16 } else { 256 };
            let number = i32::from(stored);
            let is_below = layout.is_signed && number >= range / 2;
            (if is_below { number - range } else { number }) as f32
        };
        let (rows, columns) = (layout.rows, layout.columns);
        let own_blocks = columns
            .checked_div(layout.own_block)
            .map_or(1, |_| columns.div_ceil(layout.own_block));
        let of = |row: usize, column: usize| {
            let block = column.checked_div(layout.own_block).unwrap_or(0);
            let (at, scale) = if layout.is_transposed {
                (column * rows + row, block * rows + row)
            } else {
                (row * columns + column, row * own_blocks + block)
            };
            let scale = if scales.len() == 1 { 0 } else { scale };
            (signed(weights, at) - signed(points, scale)) * scales[scale]
        };
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| of(row, column)))
            .collect()
    }

    fn check(layout: &Layout, count: usize) {
        let weights: Vec<u8> = (0..layout.rows * layout.columns)
            .map(|at| (at * 89 + at / 7) as u8)
            .collect();
        let scales: Vec<f32> = (0..count).map(|at| 0.01 + at as f32 * 0.003).collect();
        let points: Vec<u8> = (0..count).map(|at| (at * 31 + 5) as u8).collect();
        let packed = layout.weights(&weights);
        let each = layout.of_blocks(&scales);
        let zero_points = layout.zero_points(&points, count);
        assert_eq!(
            values(layout, &packed, &each, Some(&zero_points)),
            expected(layout, &weights, &scales, &points),
            "{layout:?} {count}"
        );
    }

    #[test]
    fn every_weight_counts_what_it_counted() {
        for (rows, columns, block) in [(1, 1, 16), (3, 16, 16), (70, 130, 32), (129, 64, 64)] {
            for (is_transposed, is_signed, is_half_byte) in BOTH
                .into_iter()
                .flat_map(|a| BOTH.into_iter().flat_map(move |b| BOTH.map(|c| (a, b, c))))
            {
                for own_block in [0, block, 3 * block] {
                    let layout = Layout {
                        rows,
                        columns,
                        block,
                        own_block,
                        is_transposed,
                        is_signed,
                        is_half_byte,
                    };
                    if own_block == 0 {
                        check(&layout, 1);
                        check(&layout, rows);
                    } else {
                        check(&layout, rows * columns.div_ceil(own_block));
                    }
                }
            }
        }
    }

    #[test]
    fn a_sign_makes_the_middle_of_zero() {
        let layout = Layout {
            rows: 1,
            columns: 3,
            block: 16,
            own_block: 0,
            is_transposed: true,
            is_signed: true,
            is_half_byte: false,
        };
        let packed = layout.weights(&[0, 0x80, 0x7f]);
        assert_eq!(packed[..3], [128, 0, 255]);
        assert_eq!(values(&layout, &packed, &[2.0], None), [0.0, -256.0, 254.0]);
        let halves = Layout {
            is_half_byte: true,
            ..layout
        };
        // 0, -8 and 7.
        let packed = halves.weights(&[0x80, 0x07]);
        assert_eq!(packed[..2], [0x08, 0x0f]);
        assert_eq!(values(&halves, &packed, &[2.0], None), [0.0, -16.0, 14.0]);
    }
}
