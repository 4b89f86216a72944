//! Model runtimes on ONNX Runtime: the only crate that names `ort`.
//!
//! Owns how a package on disk is understood ([`package`], [`onnx`]) and how a language model
//! computes ([`llm`]). Knows nothing of processes, sockets or other models: a worker process
//! loads one runtime with [`load`] and drives it through [`LlmRuntime`].

#[cfg(feature = "fake-runtime")]
mod fake;
pub mod graph;
mod kernels;
pub mod llm;
pub mod onnx;
mod operators;
pub mod package;
pub mod quantize;
pub mod runtime;

pub use kernels::{Kernels, UnknownKernels};
pub use runtime::{CacheOnDisk, LlmRuntime, LoadOptions, TokenizeInput, load};
