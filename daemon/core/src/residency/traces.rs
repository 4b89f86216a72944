//! Readable traces: who asks for what, and what comes of it.

mod fairness;
mod memory;
mod swapping;
mod upstream;
