//! The innermost step: a few rows of activations times one panel of weights.
//!
//! Every tile adds, for each of its rows and the panel's 16 rows of weights, `scale of the weights
//! × scale of the activations × integer dot product` to its sums, block after block. So a row's
//! result is the same to the last bit whatever other rows are multiplied with it and however the
//! blocks are divided among tiles. The integer part is exact and the same for all; the fp32 sums differ by the rounding of
//! a fused or an unfused multiply-add.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx_vnni;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_i8mm;
mod portable;
#[cfg(target_arch = "x86_64")]
mod ymm;

use super::shape::{ALIGNMENT, LANES, record_bytes};
use super::{Bits, MatmulError, Shape};
use crate::Isa;

/// The most rows that any tile has.
pub(super) const MOST_ROWS: usize = 8;

/// The longest run of activations of one row that lies together.
pub(super) const LONGEST_UNIT: usize = 64;

/// Bytes that a tile of three and more rows asks the memory for in advance. With fewer rows the
/// processor looks far enough ahead itself, and asking costs a tenth of the speed.
#[cfg(target_arch = "x86_64")]
const AHEAD: usize = 2048;

/// What a tile adds to: a row for each of its rows, a lane for each of the panel's.
#[repr(align(64))]
pub(super) struct Sums(pub(super) [[f32; LANES]; MOST_ROWS]);

impl Sums {
    pub(super) fn new() -> Self {
        Self([[0.0; LANES]; MOST_ROWS])
    }
}

/// What a tile works on: some consecutive records of a panel, the first of them at the start of a
/// group of activations, and the activations that belong to them.
pub(super) struct Work<'a> {
    pub(super) block: usize,
    pub(super) pairs: usize,
    pub(super) records: &'a [u8],
    pub(super) zero_points: &'a [u8],
    /// `[unit][row][unit's activations]`.
    pub(super) values: &'a [i8],
    /// `[block][row]`, the same for all blocks of a group.
    pub(super) scales: &'a [f32],
    /// `[block][row]`, see [`super::quantize::Quantized`].
    pub(super) offsets: &'a [i32],
}

impl Work<'_> {
    /// Ends the process's mistake here rather than behind the end of a slice: what every tile
    /// relies on.
    fn check(&self, rows: usize, bits: Bits, unit: usize, has_zero_points: bool) {
        let zero_points = if has_zero_points {
            LANES * bits.count() / 4
        } else {
            0
        };
        assert!(self.block.is_multiple_of(unit), "whole units");
        assert!(unit == LONGEST_UNIT || unit == self.block, "units of this block");
        assert!(
            self.records.as_ptr().addr().is_multiple_of(ALIGNMENT),
            "aligned records"
        );
        assert!(
            self.records.len() == self.pairs * record_bytes(self.block, bits),
            "all records"
        );
        assert!(
            self.zero_points.len() == self.pairs * zero_points,
            "all zero points"
        );
        assert!(
            self.values.len() == self.pairs * 2 * self.block * rows,
            "all activations"
        );
        assert!(
            self.scales.len() == self.pairs * 2 * rows,
            "all scales of activations"
        );
        assert!(
            self.offsets.len() == self.pairs * 2 * rows,
            "all offsets of activations"
        );
    }
}

/// Computes one tile.
///
/// # Safety
///
/// The processor has the instructions of the set that the tile was chosen for.
pub(super) type Tile = unsafe fn(&Work<'_>, &mut Sums);

/// The tiles of 1, 2, ... rows for this set of instructions and this kind of weights.
pub(super) fn tiles(isa: Isa, shape: &Shape) -> Result<&'static [Tile], MatmulError> {
    if !isa.is_available() {
        return Err(MatmulError::Unavailable(isa));
    }
    let (bits, block, zero_points) = (shape.bits(), shape.block(), shape.has_zero_points());
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Ok(avx2::tiles(bits, block, zero_points)),
        #[cfg(target_arch = "x86_64")]
        Isa::AvxVnni => Ok(avx_vnni::tiles(bits, block, zero_points)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512Vnni => Ok(avx512::tiles(bits, block, zero_points)),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonDot => Ok(neon::tiles(bits, block, zero_points)),
        #[cfg(target_arch = "aarch64")]
        Isa::NeonI8mm => Ok(neon_i8mm::tiles(bits, block, zero_points)),
        Isa::Portable => Ok(portable::tiles(bits, block, zero_points)),
        #[cfg(not(target_arch = "x86_64"))]
        Isa::Avx2 | Isa::AvxVnni | Isa::Avx512Vnni => Err(MatmulError::Unavailable(isa)),
        #[cfg(not(target_arch = "aarch64"))]
        Isa::NeonDot | Isa::NeonI8mm => Err(MatmulError::Unavailable(isa)),
    }
}

/// Writes `fn tiles(bits, block, has_zero_points)` over functions that are generic over rows, bits, the
/// length of a unit and whether there are zero points.
macro_rules! table {
    ($($tile:ident::<$rows:literal>),*) => {
        pub(in crate::matmul) fn tiles(
            bits: $crate::matmul::Bits,
            block: usize,
            has_zero_points: bool,
        ) -> &'static [$crate::matmul::tiles::Tile] {
            use $crate::matmul::Bits::{Eight, Four};
            match (bits, block, has_zero_points) {
                (Four, 16, false) => const { &[$($tile::<$rows, 4, 16, false>),*] },
                (Four, 32, false) => const { &[$($tile::<$rows, 4, 32, false>),*] },
                (Four, _, false) => const { &[$($tile::<$rows, 4, 64, false>),*] },
                (Four, 16, true) => const { &[$($tile::<$rows, 4, 16, true>),*] },
                (Four, 32, true) => const { &[$($tile::<$rows, 4, 32, true>),*] },
                (Four, _, true) => const { &[$($tile::<$rows, 4, 64, true>),*] },
                (Eight, 16, false) => const { &[$($tile::<$rows, 8, 16, false>),*] },
                (Eight, 32, false) => const { &[$($tile::<$rows, 8, 32, false>),*] },
                (Eight, _, false) => const { &[$($tile::<$rows, 8, 64, false>),*] },
                (Eight, 16, true) => const { &[$($tile::<$rows, 8, 16, true>),*] },
                (Eight, 32, true) => const { &[$($tile::<$rows, 8, 32, true>),*] },
                (Eight, _, true) => const { &[$($tile::<$rows, 8, 64, true>),*] },
            }
        }
    };
}
use table;
