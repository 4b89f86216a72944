//! Smaller models made of installed ones.
//!
//! A process of its own reads the weights of one model and writes those of another into a
//! directory that nobody sees ([`run`]); then the store makes it a model. One at a time, with
//! memory that nobody has to go for. What is given up leaves nothing.

mod child;
mod handle;
mod line;
mod options;
mod process;

pub use child::run;
pub use handle::{QuantizeEvents, QuantizeOptions, Quantizer};
pub use options::{QUANTIZE, QuantizeArguments};
