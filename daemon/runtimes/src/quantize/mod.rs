//! Smaller packages made of full-precision ones, without a calibration text and without Python.
//!
//! Owns which matrix gets how many bits ([`QuantizeLevel`](airunner_core::quantize::QuantizeLevel)),
//! the search for scales ([`blocks`]), and writing the new package. The result is an ordinary one
//! that any ONNX Runtime loads: `MatMulNBits` and `GatherBlockQuantized` of `com.microsoft`, with
//! weights beside the graph. What was lost is measured, per matrix and on a text.

pub mod blocks;
mod compare;
mod error;
mod levels;
mod predictions;
mod rewrite;
mod roles;
mod run;
mod sample;
mod source;
mod stream;

#[cfg(test)]
mod llamacpp_tests;
#[cfg(test)]
mod tests;

pub use airunner_kernels::{Parallel, Threads};
pub use compare::{CompareOptions, Compared, MOST_TOKENS, compare};
pub use error::QuantizeError;
pub use run::{Needs, needs, quantize};

/// Follows a model being made, and may end it.
pub trait Watcher: Sync {
    /// 0 to 1.
    fn progress(&self, fraction: f64);

    fn is_cancelled(&self) -> bool;
}
