//! Products with weights of 4 or 8 bits that are quantized in blocks along the inputs.
//!
//! Activations are quantized to 8 bits when they arrive, in the same blocks or in groups of them, so
//! that a product is integer dot products within a block and one fused multiply-add per block. [`pack`] brings the
//! weights of ONNX Runtime's `MatMulNBits` into panels of 16 rows, the same bytes for every set of
//! instructions; a [`Matrix`] is such bytes, from memory or from a mapped file.
//!
//! Knows nothing of files: who stores packed bytes puts [`LAYOUT_VERSION`] beside them.

mod activation;
mod cut;
mod driver;
mod error;
mod gate;
mod matrix;
mod pack;
mod quantize;
#[cfg(target_arch = "x86_64")]
mod quantize_avx2;
mod quantize_row;
mod shape;
mod source;
#[expect(
    clippy::needless_range_loop,
    reason = "the numbers of registers, in arrays of registers"
)]
mod tiles;

#[cfg(test)]
mod tests;

pub use activation::Activation;
pub use error::MatmulError;
pub use matrix::Matrix;
pub use pack::pack;
pub use quantize::Scratch;
pub use shape::{ALIGNMENT, Arrangement, Bits, LAYOUT_VERSION, Shape};
pub use source::{Scales, Source};
