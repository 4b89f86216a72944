//! What can be wrong with a matrix or a call.

use crate::Isa;

/// Why a matrix was not packed, opened or multiplied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MatmulError {
    #[error("a matrix of {rows} rows and {columns} columns is empty or too large")]
    Size { rows: usize, columns: usize },
    #[error("blocks of {0} weights are not supported: a power of two from 16 to 256 is")]
    Block(usize),
    #[error("{what} must have {expected} elements and have {actual}")]
    Length {
        what: &'static str,
        expected: usize,
        actual: usize,
    },
    #[error("the scale of row {row}, block {block} is not a finite number")]
    Scale { row: usize, block: usize },
    #[error("zero points are given for a matrix without zero points")]
    ZeroPoints,
    #[error("gate and up must be two matrices of {0} rows each")]
    Halves(usize),
    #[error("the matrix is not packed in the arrangement that this product needs")]
    Arrangement,
    #[error("packed weights must start at a multiple of 64 bytes")]
    Alignment,
    #[error("the matrix has no row {0}")]
    Row(usize),
    #[error("this processor does not have the instructions {0}")]
    Unavailable(Isa),
}

impl MatmulError {
    pub(super) fn check_length(what: &'static str, actual: usize, expected: usize) -> Result<(), Self> {
        if actual == expected {
            Ok(())
        } else {
            Err(Self::Length {
                what,
                expected,
                actual,
            })
        }
    }
}
