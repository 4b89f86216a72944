//! Answers that are kept for later: to be looked at again, gone on with, or waited for while they
//! are made in the background.
//!
//! What an answer looks like is decided by who makes it; known here are its `status`, its
//! `output` and its `error`.

mod actor;
mod handle;

#[cfg(test)]
mod tests;

pub use actor::{Actor, Work};
pub use handle::{Response, Responses};
