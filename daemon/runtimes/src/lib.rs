//! Model runtimes on ONNX Runtime: the only crate that names `ort`.
//!
//! Owns how a package on disk is understood ([`package`]) and how a language model computes
//! ([`llm`]). Knows nothing of processes, sockets or other models: a worker process loads one
//! runtime with [`load`] and drives it through [`LlmRuntime`].

pub mod llm;
pub mod runtime;

pub use runtime::{LlmRuntime, LoadOptions, TokenizeInput};
