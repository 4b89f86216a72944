//! Attention over a paged cache of keys and values.
//!
//! A [`Pool`] holds the blocks of one layer. In each step, [`append`] puts the keys and values of
//! the new tokens of all sequences into their blocks, then [`attend`] computes the attention of
//! the new tokens over all tokens of their sequences. Both rotate what they are given, where the
//! model leaves that to them. Semantics are those of ONNX Runtime's `GroupQueryAttention`.
//!
//! The result of a row is the same to the last bit whatever other sequences are in the step,
//! however many threads there are and however a prompt is cut into steps, as long as the
//! instructions and the kind of cache are the same.
//!
//! Which blocks belong to whom is not known here.

mod append;
mod attend;
mod error;
mod exponent;
mod geometry;
mod kernel;
mod plan;
mod pool;
mod rotary;
mod scratch;
mod simd;
mod step;
mod stored;
#[cfg(test)]
mod tests;
mod tile;

pub use append::{Append, append};
pub use attend::{Attend, attend};
pub use error::AttentionError;
pub use geometry::{Element, Geometry};
pub use pool::Pool;
pub use rotary::Rotary;
pub use scratch::Scratch;
pub use step::{Options, Rows, Sequence};

use simd::LANES;
