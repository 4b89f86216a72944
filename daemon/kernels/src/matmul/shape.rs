//! Sizes of a matrix and of its packed form.
//!
//! Packed: panels of 16 rows, each of them
//! - 16 factors in fp32, one per row (64 bytes);
//! - with zero points, 16 bytes per two blocks of 4 bits (the second one in the upper half of the
//!   byte) or 16 bytes per block of 8 bits, filled up to a multiple of 64;
//! - a record per two blocks: 2 × 16 scales in fp16 (64 bytes), then the weights of one block and
//!   of the other, in words of 64 bytes: 4 bytes of each of the 16 rows, in the order of
//!   `MatMulNBits`, so 8 weights of 4 bits or 4 of 8 bits.
//!
//! A weight is `factor × scale × (stored − zero point)`; without zero points that is 8 or 128.

use super::MatmulError;

/// Changes whenever packed bytes of older versions cannot be read.
pub const LAYOUT_VERSION: u32 = 1;

/// What the start of packed weights is a multiple of.
pub const ALIGNMENT: usize = 64;

/// Rows of a panel.
pub(super) const LANES: usize = 16;

/// Inputs of 4-bit weights whose activations share a scale, if blocks are not longer.
///
/// In such groups the rounding of activations is less than a tenth of that of the weights, and
/// without a multiplication per block products with many rows take 7 % less time.
const GROUP: usize = 128;

/// Bits of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bits {
    Four,
    Eight,
}

impl Bits {
    pub(super) fn count(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Eight => 8,
        }
    }

    /// The stored weight that means 0 where there are no zero points.
    pub(super) fn middle(self) -> u8 {
        match self {
            Self::Four => 8,
            Self::Eight => 128,
        }
    }
}

/// Where the rows of several matrices go in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arrangement {
    /// Below each other: queries, keys, values.
    Stacked,
    /// Panels of the first and of the second alternate: gate and up, of as many rows.
    Interleaved,
}

/// Size and kind of a quantized matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    rows: usize,
    columns: usize,
    block: usize,
    bits: Bits,
    has_zero_points: bool,
}

impl Shape {
    /// `rows` outputs of `columns` inputs each, `block` weights per scale.
    pub fn new(
        rows: usize,
        columns: usize,
        block: usize,
        bits: Bits,
        has_zero_points: bool,
    ) -> Result<Self, MatmulError> {
        if !block.is_power_of_two() || !(16..=256).contains(&block) {
            return Err(MatmulError::Block(block));
        }
        let shape = Self {
            rows,
            columns,
            block,
            bits,
            has_zero_points,
        };
        // Twice 16 rows more than needed, 8 bytes for each weight: nothing overflows behind this.
        let most = rows.checked_add(2 * LANES).zip(columns.checked_add(4 * block));
        let bytes = most.and_then(|(rows, columns)| rows.checked_mul(columns)?.checked_mul(8));
        match bytes {
            Some(bytes) if rows > 0 && columns > 0 && isize::try_from(bytes).is_ok() => Ok(shape),
            _ => Err(MatmulError::Size { rows, columns }),
        }
    }

    /// Outputs, of all matrices together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Weights per scale.
    #[must_use]
    pub fn block(&self) -> usize {
        self.block
    }

    #[must_use]
    pub fn bits(&self) -> Bits {
        self.bits
    }

    #[must_use]
    pub fn has_zero_points(&self) -> bool {
        self.has_zero_points
    }

    /// Length of the packed form.
    #[must_use]
    pub fn packed_bytes(&self, arrangement: Arrangement) -> usize {
        self.panels(arrangement) * self.panel_bytes()
    }

    /// Blocks per row, the last one perhaps only partly within the columns.
    pub(super) fn blocks(&self) -> usize {
        self.columns.div_ceil(self.block)
    }

    /// Records of a panel.
    pub(super) fn pairs(&self) -> usize {
        self.blocks().div_ceil(2)
    }

    /// Blocks whose activations share a scale.
    pub(super) fn blocks_per_group(&self) -> usize {
        blocks_per_group(self.block, self.bits)
    }

    /// Bytes of one block of one row.
    pub(super) fn block_bytes(&self) -> usize {
        self.block * self.bits.count() / 8
    }

    /// Bytes of a row in the order of `MatMulNBits`.
    pub(super) fn row_bytes(&self) -> usize {
        self.blocks() * self.block_bytes()
    }

    /// Bytes of a row's zero points in the order of `MatMulNBits`.
    pub(super) fn zero_point_row_bytes(&self) -> usize {
        (self.blocks() * self.bits.count()).div_ceil(8)
    }

    pub(super) fn record_bytes(&self) -> usize {
        record_bytes(self.block, self.bits)
    }

    /// Bytes of the zero points of the 16 rows and two blocks.
    pub(super) fn zero_point_bytes(&self) -> usize {
        if self.has_zero_points {
            LANES * self.bits.count() / 4
        } else {
            0
        }
    }

    /// Where in a panel the records begin.
    pub(super) fn records_start(&self) -> usize {
        let zero_points = (self.pairs() * self.zero_point_bytes()).next_multiple_of(ALIGNMENT);
        LANES * size_of::<f32>() + zero_points
    }

    pub(super) fn panel_bytes(&self) -> usize {
        self.records_start() + self.pairs() * self.record_bytes()
    }

    pub(super) fn panels(&self, arrangement: Arrangement) -> usize {
        match arrangement {
            Arrangement::Stacked => self.rows.div_ceil(LANES),
            Arrangement::Interleaved => 2 * self.rows.div_ceil(2).div_ceil(LANES),
        }
    }

    /// Whether this many rows can be arranged so.
    pub(super) fn check(&self, arrangement: Arrangement) -> Result<(), MatmulError> {
        if arrangement == Arrangement::Interleaved && !self.rows.is_multiple_of(2) {
            return Err(MatmulError::Halves(self.rows / 2));
        }
        Ok(())
    }

    /// Panel and lane of a row. Rows of an interleaved matrix count the first one's, then the
    /// second one's.
    pub(super) fn place(&self, arrangement: Arrangement, row: usize) -> (usize, usize) {
        match arrangement {
            Arrangement::Stacked => (row / LANES, row % LANES),
            Arrangement::Interleaved => {
                let half = self.rows / 2;
                let (second, row) = if row < half { (0, row) } else { (1, row - half) };
                (2 * (row / LANES) + second, row % LANES)
            }
        }
    }
}

/// Blocks whose activations share a scale, a power of two.
pub(super) fn blocks_per_group(block: usize, bits: Bits) -> usize {
    match bits {
        Bits::Four => (GROUP / block).max(1),
        Bits::Eight => 1,
    }
}

/// Bytes of the scales and weights of 16 rows and two blocks.
pub(super) fn record_bytes(block: usize, bits: Bits) -> usize {
    ALIGNMENT + 2 * LANES * block * bits.count() / 8
}
