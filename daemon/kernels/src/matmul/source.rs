//! Weights as `MatMulNBits` has them.

use half::{bf16, f16};

use super::{MatmulError, Shape};

/// One scale per row and block, row after row.
#[derive(Clone, Copy, Debug)]
pub enum Scales<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

impl Scales<'_> {
    fn len(&self) -> usize {
        match self {
            Self::F32(scales) => scales.len(),
            Self::F16(scales) => scales.len(),
            Self::Bf16(scales) => scales.len(),
        }
    }

    pub(super) fn get(&self, index: usize) -> f32 {
        match self {
            Self::F32(scales) => scales[index],
            Self::F16(scales) => scales[index].to_f32(),
            Self::Bf16(scales) => scales[index].to_f32(),
        }
    }

    fn first_bad(&self) -> Option<usize> {
        match self {
            Self::F32(scales) => scales.iter().position(|scale| !scale.is_finite()),
            Self::F16(scales) => scales.iter().position(|scale| !scale.is_finite()),
            Self::Bf16(scales) => scales.iter().position(|scale| !scale.is_finite()),
        }
    }
}

/// A matrix in the layout of ONNX Runtime's `MatMulNBits`.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub rows: usize,
    /// `[rows][blocks][block × bits / 8]`, the first weight of a byte in its low bits.
    pub weights: &'a [u8],
    pub scales: Scales<'a>,
    /// `[rows][⌈blocks × bits / 8⌉]`, the first one of a byte in its low bits. Without them the
    /// middle, 8 or 128.
    pub zero_points: Option<&'a [u8]>,
}

impl Source<'_> {
    pub(super) fn check(&self, shape: &Shape) -> Result<(), MatmulError> {
        let times = |each: usize| {
            let size = MatmulError::Size {
                rows: self.rows,
                columns: shape.columns(),
            };
            self.rows.checked_mul(each).ok_or(size)
        };
        MatmulError::check_length("weights", self.weights.len(), times(shape.row_bytes())?)?;
        MatmulError::check_length("scales", self.scales.len(), times(shape.blocks())?)?;
        if let Some(zero_points) = self.zero_points {
            if !shape.has_zero_points() {
                return Err(MatmulError::ZeroPoints);
            }
            let expected = times(shape.zero_point_row_bytes())?;
            MatmulError::check_length("zero points", zero_points.len(), expected)?;
        }
        match self.scales.first_bad() {
            Some(index) => {
                let (row, block) = (index / shape.blocks(), index % shape.blocks());
                Err(MatmulError::Scale { row, block })
            }
            None => Ok(()),
        }
    }

    pub(super) fn zero_point(&self, shape: &Shape, row: usize, block: usize) -> u8 {
        let Some(zero_points) = self.zero_points else {
            return shape.bits().middle();
        };
        let of_row = &zero_points[row * shape.zero_point_row_bytes()..];
        match shape.bits() {
            super::Bits::Four => (of_row[block / 2] >> (block % 2 * 4)) & 15,
            super::Bits::Eight => of_row[block],
        }
    }
}
