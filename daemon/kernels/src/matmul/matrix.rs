//! A packed matrix, and the products with it.

use half::f16;

use super::cut::Cut;
use super::driver::{Product, factors};
use super::shape::LANES;
use super::tiles::{Tile, tiles};
use super::{ALIGNMENT, Activation, Arrangement, Bits, MatmulError, Scratch, Shape};
use crate::{Isa, Parallel};

/// A matrix in the form of [`pack`](super::pack), in memory of its own or in a mapped file.
///
/// Whatever the bytes are, products only read them: damaged ones give wrong numbers.
#[derive(Clone, Debug)]
pub struct Matrix<D> {
    shape: Shape,
    arrangement: Arrangement,
    data: D,
}

impl<D: AsRef<[u8]>> Matrix<D> {
    /// A matrix of these packed bytes, which start at a multiple of [`ALIGNMENT`].
    pub fn open(shape: Shape, arrangement: Arrangement, data: D) -> Result<Self, MatmulError> {
        shape.check(arrangement)?;
        let matrix = Self {
            shape,
            arrangement,
            data,
        };
        matrix.packed()?;
        Ok(matrix)
    }

    #[must_use]
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    #[must_use]
    pub fn arrangement(&self) -> Arrangement {
        self.arrangement
    }

    /// `y = x Wᵀ + bias`: `x` is `[rows][columns]` and `y` `[rows][outputs]`; for a
    /// [stacked](Arrangement::Stacked) matrix.
    ///
    /// A row of `y` is the same to the last bit whatever other rows there are. A row of `x` with a number that is not finite gives a row of NaN.
    pub fn multiply(
        &self,
        isa: Isa,
        x: &[f32],
        bias: Option<&[f32]>,
        y: &mut [f32],
        scratch: &mut Scratch,
        parallel: &dyn Parallel,
    ) -> Result<(), MatmulError> {
        if let Some(bias) = bias {
            MatmulError::check_length("the bias", bias.len(), self.shape.rows())?;
        }
        let inputs = (Arrangement::Stacked, isa, x);
        self.product(inputs, y.len(), scratch, parallel)?
            .stacked(bias, y, parallel);
        Ok(())
    }

    /// `y = activation(x Gᵀ) × x Uᵀ`: `x` is `[rows][columns]` and `y` `[rows][outputs / 2]`; for
    /// an [interleaved](Arrangement::Interleaved) matrix of gate `G` and up `U`.
    ///
    /// A row of `x` with a number that is not finite gives a row of NaN.
    pub fn multiply_gated(
        &self,
        isa: Isa,
        activation: Activation,
        x: &[f32],
        y: &mut [f32],
        scratch: &mut Scratch,
        parallel: &dyn Parallel,
    ) -> Result<(), MatmulError> {
        let inputs = (Arrangement::Interleaved, isa, x);
        self.product(inputs, y.len(), scratch, parallel)?
            .gated(activation, y, parallel);
        Ok(())
    }

    /// Checks everything and quantizes `x`.
    fn product<'a>(
        &'a self,
        (arrangement, isa, x): (Arrangement, Isa, &[f32]),
        y: usize,
        scratch: &'a mut Scratch,
        parallel: &dyn Parallel,
    ) -> Result<Product<'a>, MatmulError> {
        if self.arrangement != arrangement {
            return Err(MatmulError::Arrangement);
        }
        let shape = &self.shape;
        let rows = x.len() / shape.columns();
        let outputs = match arrangement {
            Arrangement::Stacked => shape.rows(),
            Arrangement::Interleaved => shape.rows() / 2,
        };
        MatmulError::check_length("activations", x.len(), rows * shape.columns())?;
        MatmulError::check_length("outputs", y, rows.saturating_mul(outputs))?;
        let packed = self.packed()?;
        let tiles: &'static [Tile] = tiles(isa, shape)?;
        let x = scratch.quantize(isa, shape, x, tiles.len(), parallel);
        Ok(Product {
            shape,
            packed,
            isa,
            tiles,
            x,
        })
    }

    /// What a helper, counted from 0, of so many threads is likely to read first in a product with few
    /// rows; nothing where it gets none.
    #[must_use]
    pub fn first_of_helper(&self, helper: usize, threads: usize) -> &[u8] {
        let together = match self.arrangement {
            Arrangement::Stacked => 1,
            Arrangement::Interleaved => 2,
        };
        let bytes = together * self.shape.panel_bytes();
        let packed = self.data.as_ref();
        // The caller's own task is the first.
        let panels = Cut::falling(packed.len() / bytes, threads).task(helper + 1);
        packed
            .get(panels.start * bytes..panels.end * bytes)
            .unwrap_or_default()
    }

    /// The weights of one output, `[columns]`, as they count in products. Outputs of an
    /// [interleaved](Arrangement::Interleaved) matrix are all of the gate, then all of up.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), MatmulError> {
        let shape = &self.shape;
        if row >= shape.rows() {
            return Err(MatmulError::Row(row));
        }
        MatmulError::check_length("weights of a row", out.len(), shape.columns())?;
        let (panel, lane) = shape.place(self.arrangement, row);
        let panel = &self.packed()?[panel * shape.panel_bytes()..(panel + 1) * shape.panel_bytes()];
        let factor = factors(panel)[lane];
        for (block, out) in out.chunks_mut(shape.block()).enumerate() {
            self.block(panel, lane, block, factor, out);
        }
        Ok(())
    }

    fn block(&self, panel: &[u8], lane: usize, block: usize, factor: f32, out: &mut [f32]) {
        let shape = &self.shape;
        let (head, records) = panel.split_at(shape.records_start());
        let zero_points = &head[LANES * size_of::<f32>()..];
        let record = &records[block / 2 * shape.record_bytes()..];
        let at = (block % 2 * LANES + lane) * size_of::<f16>();
        let scale = factor * f16::from_le_bytes([record[at], record[at + 1]]).to_f32();
        let words = &record[ALIGNMENT + block % 2 * LANES * shape.block_bytes()..];
        let zero_point = match shape.bits() {
            _ if !shape.has_zero_points() => shape.bits().middle(),
            Bits::Four => (zero_points[block / 2 * LANES + lane] >> (block % 2 * 4)) & 15,
            Bits::Eight => zero_points[block * LANES + lane],
        };
        for (column, out) in out.iter_mut().enumerate() {
            let byte = column * shape.bits().count() / 8;
            let byte = words[byte / 4 * 4 * LANES + lane * 4 + byte % 4];
            let stored = match shape.bits() {
                Bits::Four => (byte >> (column % 2 * 4)) & 15,
                Bits::Eight => byte,
            };
            *out = f32::from(i16::from(stored) - i16::from(zero_point)) * scale;
        }
    }

    /// The packed bytes, checked each time: `D` may give others.
    pub(super) fn packed(&self) -> Result<&[u8], MatmulError> {
        let packed = self.data.as_ref();
        let expected = self.shape.packed_bytes(self.arrangement);
        MatmulError::check_length("packed bytes", packed.len(), expected)?;
        if !packed.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(MatmulError::Alignment);
        }
        Ok(packed)
    }
}
