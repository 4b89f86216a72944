//! Kernels of language models for processors: products with quantized weights, and attention
//! over a paged cache of keys and values.
//!
//! Pure computation on slices: knows nothing of files, graphs or ONNX Runtime. All `unsafe` code
//! of vector instructions is here, each kernel beside a portable one that says what it computes.

pub mod attention;
mod isa;
pub mod matmul;
mod parallel;
mod shared;
mod thread_pool;

pub use isa::Isa;
pub use parallel::{Parallel, Serial, Threads};
pub use thread_pool::ThreadPool;
