//! What a matrix would lose, told by a few of its weights before it is decided how all are kept.

use super::blocks::{Grid, Loss, Row, quantize_row};
use super::levels::{Losses, TYPICAL};
use super::source::Matrix;

/// Parts of a matrix that are looked at, spread over rows and columns.
const PARTS: usize = 8;
/// Rows of a part.
const ROWS: usize = 32;
/// Columns of a part: the widest of the blocks that are compared.
const COLUMNS: usize = 128;

/// Losses of a matrix's sample; of normally distributed weights if it has no usable ones.
pub(super) fn sampled(matrix: &Matrix) -> Losses {
    let around_zero = |bits, block| lost(matrix, bits, block, false);
    let found = || {
        Some(Losses {
            four: around_zero(4, 16)?,
            four_with_zero_points: lost(matrix, 4, 32, true)?,
            eight: around_zero(8, COLUMNS)?,
        })
    };
    found().unwrap_or(TYPICAL)
}

fn lost(matrix: &Matrix, bits: u32, block: usize, has_zero_points: bool) -> Option<f64> {
    let grid = Grid {
        bits,
        block,
        has_zero_points,
        has_half_scales: false,
    };
    let (rows, columns) = (ROWS.min(matrix.rows), COLUMNS.min(matrix.columns));
    let mut values = vec![0.0; rows * columns];
    let mut weights = vec![0; grid.weight_bytes(columns)];
    let mut scales = vec![0.0; grid.blocks(columns)];
    let mut zero_points = vec![0; grid.zero_point_bytes(columns)];
    let mut loss = Loss::default();
    for part in 0..PARTS {
        let row = spread(part, matrix.rows - rows);
        // At the start of a block, as all blocks of a row are.
        let column = spread(part, matrix.columns - columns) / COLUMNS * COLUMNS;
        matrix.read_part(row, column..column + columns, &mut values);
        for values in values.chunks_exact(columns) {
            let row = Row {
                weights: &mut weights,
                scales: &mut scales,
                zero_points: &mut zero_points,
            };
            // A weight that is no number is told with its tensor when all are quantized.
            loss.add(quantize_row(values, &grid, row).ok()?);
        }
    }
    (loss.squares > 0.0).then(|| loss.relative())
}

/// The first part at the start, the last at the end.
fn spread(part: usize, last: usize) -> usize {
    last * part / (PARTS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_and_useless_matrices_are_looked_at_as_well() {
        let numbers: Vec<f32> = (0..40 * 40)
            .map(|number| ((number * 37) % 101) as f32 - 50.0)
            .collect();
        let found = sampled(&Matrix::of_rows(40, &numbers));
        assert_ne!(found, TYPICAL);
        assert!(found.eight < found.four && found.four < 0.1, "{found:?}");
        assert_eq!(sampled(&Matrix::of_rows(40, &[0.0; 1600])), TYPICAL);
        assert_eq!(sampled(&Matrix::of_rows(40, &[f32::NAN; 1600])), TYPICAL);
    }
}
