//! Matrices of bytes with one scale per row, or one for all, in the layout of `MatMulNBits` with
//! 8 bits.

/// Rows and columns that are turned around together: both lines fit into a cache.
const TILE: usize = 64;

/// What is added to a number with a sign so that it counts from 0.
const MIDDLE: u8 = 128;

#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Columns that share a scale in the result.
    pub(super) block: usize,
    /// The weights are `[columns][rows]`.
    pub(super) is_transposed: bool,
    pub(super) is_signed: bool,
}

impl Layout {
    /// `[rows][blocks][block]`; what fills up the last block counts nothing, as activations there
    /// are 0.
    pub(super) fn weights(&self, weights: &[u8]) -> Vec<u8> {
        let width = self.blocks() * self.block;
        let mut out = vec![0; self.rows * width];
        for row in (0..self.rows).step_by(TILE) {
            for column in (0..self.columns).step_by(TILE) {
                self.tile(weights, &mut out, row, column);
            }
        }
        out
    }

    fn tile(&self, weights: &[u8], out: &mut [u8], row: usize, column: usize) {
        let width = self.blocks() * self.block;
        for row in row..(row + TILE).min(self.rows) {
            for column in column..(column + TILE).min(self.columns) {
                let at = if self.is_transposed {
                    column * self.rows + row
                } else {
                    row * self.columns + column
                };
                out[row * width + column] = self.unsigned(weights[at]);
            }
        }
    }

    /// `[rows][blocks]` of one for all or one for each row.
    pub(super) fn of_blocks<T: Copy>(&self, values: &[T]) -> Vec<T> {
        let of_row = |row: usize| if values.len() == 1 { values[0] } else { values[row] };
        (0..self.rows)
            .flat_map(|row| std::iter::repeat_n(of_row(row), self.blocks()))
            .collect()
    }

    /// As [`of_blocks`](Self::of_blocks).
    pub(super) fn zero_points(&self, points: &[u8]) -> Vec<u8> {
        let unsigned: Vec<u8> = points.iter().map(|&point| self.unsigned(point)).collect();
        self.of_blocks(&unsigned)
    }

    fn blocks(&self) -> usize {
        self.columns.div_ceil(self.block)
    }

    fn unsigned(&self, byte: u8) -> u8 {
        if self.is_signed {
            byte.wrapping_add(MIDDLE)
        } else {
            byte
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every weight counts, from the result of [`Layout`].
    fn values(layout: &Layout, weights: &[u8], scales: &[f32], points: Option<&[u8]>) -> Vec<f32> {
        let width = layout.blocks() * layout.block;
        let of = |row: usize, column: usize| {
            let block = row * layout.blocks() + column / layout.block;
            let point = points.map_or(MIDDLE, |points| points[block]);
            (f32::from(weights[row * width + column]) - f32::from(point)) * scales[block]
        };
        (0..layout.rows)
            .flat_map(|row| (0..layout.columns).map(move |column| of(row, column)))
            .collect()
    }

    #[test]
    fn every_weight_counts_what_it_counted() {
        for (rows, columns, block) in [(1, 1, 16), (3, 16, 16), (70, 130, 32), (129, 64, 64)] {
            for (is_transposed, is_signed) in [(false, false), (false, true), (true, false), (true, true)] {
                let layout = Layout {
                    rows,
                    columns,
                    block,
                    is_transposed,
                    is_signed,
                };
                let weights: Vec<u8> = (0..rows * columns).map(|at| (at * 89 + at / 7) as u8).collect();
                let number = |byte: u8| {
                    if is_signed {
                        f32::from(byte.cast_signed())
                    } else {
                        f32::from(byte)
                    }
                };
                for count in [1, rows] {
                    let scales: Vec<f32> = (0..count).map(|at| 0.01 + at as f32 * 0.003).collect();
                    let points: Vec<u8> = (0..count).map(|at| (at * 31 + 5) as u8).collect();
                    let each = |at: usize| if count == 1 { 0 } else { at };
                    let expected: Vec<f32> = (0..rows * columns)
                        .map(|at| {
                            let (row, column) = (at / columns, at % columns);
                            let place = if is_transposed { column * rows + row } else { at };
                            let point = number(points[each(row)]);
                            (number(weights[place]) - point) * scales[each(row)]
                        })
                        .collect();
                    let packed = layout.weights(&weights);
                    let (scales, points) = (layout.of_blocks(&scales), layout.zero_points(&points));
                    assert_eq!(values(&layout, &packed, &scales, Some(&points)), expected);
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
            is_transposed: true,
            is_signed: true,
        };
        let packed = layout.weights(&[0, 0x80, 0x7f]);
        assert_eq!(packed[..3], [128, 0, 255]);
        assert_eq!(values(&layout, &packed, &[2.0], None), [0.0, -256.0, 254.0]);
    }
}
