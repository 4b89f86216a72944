//! Matrices and activations of chance.

use half::f16;

use crate::matmul::driver::Product;
use crate::matmul::tiles::{Tile, tiles};
use crate::matmul::{Arrangement, Bits, Matrix, Scales, Scratch, Shape, Source, pack};
use crate::{Isa, Parallel, Serial};

/// Pseudo-random numbers (xorshift).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f32 {
        (self.next() & 0xff_ffff) as f32 / 16_777_216.0
    }

    /// Near enough to a normal distribution.
    pub(super) fn gauss(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}

/// Bytes that start at a multiple of 64.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([u8; 64]);

#[derive(Clone)]
pub(super) struct Aligned(Vec<Line>);

impl Aligned {
    pub(super) fn new(bytes: usize) -> Self {
        assert!(bytes.is_multiple_of(64), "whole lines");
        // Nothing may rely on what was there before.
        Self(vec![Line([0xa5; 64]); bytes / 64])
    }

    #[expect(unsafe_code, reason = "lines are bytes")]
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: a line is 64 bytes without padding.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 64) }
    }
}

impl AsRef<[u8]> for Aligned {
    #[expect(unsafe_code, reason = "lines are bytes")]
    fn as_ref(&self) -> &[u8] {
        // SAFETY: a line is 64 bytes without padding.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 64) }
    }
}

/// A matrix as `MatMulNBits` has it.
#[derive(Clone)]
pub(super) struct Plain {
    pub(super) shape: Shape,
    pub(super) weights: Vec<u8>,
    pub(super) scales: Vec<f32>,
    pub(super) zero_points: Option<Vec<u8>>,
}

impl Plain {
    /// Scales come from `scale`.
    pub(super) fn new(shape: Shape, chance: &mut Chance, scale: impl Fn(&mut Chance) -> f32) -> Self {
        let mut bytes = |count: usize| (0..count).map(|_| chance.next() as u8).collect::<Vec<u8>>();
        let weights = bytes(shape.rows() * shape.row_bytes());
        let zero_points = shape
            .has_zero_points()
            .then(|| bytes(shape.rows() * shape.zero_point_row_bytes()));
        let scales = (0..shape.rows() * shape.blocks())
            .map(|_| scale(chance))
            .collect();
        Self {
            shape,
            weights,
            scales,
            zero_points,
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source {
            rows: self.shape.rows(),
            weights: &self.weights,
            scales: Scales::F32(&self.scales),
            zero_points: self.zero_points.as_deref(),
        }
    }

    pub(super) fn pack(&self) -> Matrix<Aligned> {
        packed(self.shape, Arrangement::Stacked, &[self.source()])
    }

    /// The weight less its zero point, as an integer.
    pub(super) fn integer(&self, row: usize, column: usize) -> i32 {
        let shape = &self.shape;
        let of_row = &self.weights[row * shape.row_bytes()..];
        let block = column / shape.block();
        let nibble = |bytes: &[u8], at: usize| bytes[at / 2] >> (at % 2 * 4) & 15;
        let zero_points = |bytes: &Vec<u8>| bytes[row * shape.zero_point_row_bytes()..].to_vec();
        let zero_points = self.zero_points.as_ref().map(zero_points);
        let (stored, zero_point) = match shape.bits() {
            Bits::Four => (
                nibble(of_row, column),
                zero_points.map_or(8, |z| nibble(&z, block)),
            ),
            Bits::Eight => (of_row[column], zero_points.map_or(128, |z| z[block])),
        };
        i32::from(stored) - i32::from(zero_point)
    }

    pub(super) fn scale(&self, row: usize, column: usize) -> f32 {
        self.scales[row * self.shape.blocks() + column / self.shape.block()]
    }
}

/// A scale that fp16 has exactly.
pub(super) fn usual_scale(chance: &mut Chance) -> f32 {
    f16::from_f32(0.01 * (chance.unit() - 0.3)).to_f32()
}

pub(super) fn packed(shape: Shape, arrangement: Arrangement, sources: &[Source<'_>]) -> Matrix<Aligned> {
    let mut out = Aligned::new(shape.packed_bytes(arrangement));
    pack(shape, arrangement, sources, out.bytes(), &Serial).unwrap();
    Matrix::open(shape, arrangement, out).unwrap()
}

/// A way to compute a product on this processor.
pub(super) struct Way {
    pub(super) name: String,
    isa: Isa,
    tiles: &'static [Tile],
}

/// All of them but the portable one.
pub(super) fn ways(shape: &Shape) -> Vec<Way> {
    let of_isa = |isa: Isa| Way {
        name: isa.to_string(),
        isa,
        tiles: tiles(isa, shape).unwrap(),
    };
    let ways = Isa::available()
        .into_iter()
        .filter(|isa| *isa != Isa::Portable)
        .map(of_isa);
    ways.chain(encoded_otherwise(shape)).collect()
}

/// The tiles of AVX-VNNI for processors that have its dot product only in the encoding of AVX-512.
#[cfg(target_arch = "x86_64")]
fn encoded_otherwise(shape: &Shape) -> Option<Way> {
    use crate::matmul::tiles::avx_vnni::encoded_otherwise;
    let tiles = encoded_otherwise::tiles(shape.bits(), shape.block(), shape.has_zero_points());
    let name = "avx-vnni in the encoding of AVX-512".to_owned();
    Isa::Avx512Vnni.is_available().then_some(Way {
        name,
        isa: Isa::Avx2,
        tiles,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn encoded_otherwise(_: &Shape) -> Option<Way> {
    None
}

impl Way {
    pub(super) fn portable(shape: &Shape) -> Self {
        let tiles = tiles(Isa::Portable, shape).unwrap();
        Self {
            name: "portable".to_owned(),
            isa: Isa::Portable,
            tiles,
        }
    }

    /// `x Wᵀ + bias`.
    pub(super) fn multiply(
        &self,
        matrix: &Matrix<Aligned>,
        x: &[f32],
        bias: Option<&[f32]>,
        parallel: &dyn Parallel,
    ) -> Vec<f32> {
        let shape = matrix.shape();
        let mut scratch = Scratch::new();
        let mut y = vec![f32::NAN; x.len() / shape.columns() * shape.rows()];
        let x = scratch.quantize(self.isa, shape, x, self.tiles.len(), parallel);
        let product = Product {
            shape,
            isa: self.isa,
            packed: matrix.packed().unwrap(),
            tiles: self.tiles,
            x,
        };
        product.stacked(bias, &mut y, parallel);
        y
    }
}
