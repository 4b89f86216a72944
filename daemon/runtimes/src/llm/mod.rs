//! Language models.
//!
//! [`text`] turns words into tokens and back, [`sampling`] chooses tokens; here the graph is
//! opened and driven: `session` and `interface` know ONNX Runtime, `kv` keeps what was
//! computed, `spilled` keeps it on the disk, `engine` runs many requests at once.

mod allocator;
mod constraint;
mod engine;
mod error;
mod interface;
mod kv;
mod language_model;
pub mod prepack;
mod rewritten;
pub mod sampling;
pub(crate) mod session;
pub mod spilled;
mod tensor;
pub mod text;
pub(crate) mod threads;

pub(crate) use error::ComputeError;
pub(crate) use kv::{Cache, whole};
pub(crate) use language_model::{load, open_cache};
