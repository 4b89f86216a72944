//! Copies of models made for this machine, which load and answer faster and whose memory the
//! system can share and take back.
//!
//! Owns when a copy is made, by a process of its own that lets everything else go first, when a
//! worker is replaced by one from the copy, and when copies go. What a copy is and which fits is
//! the business of the runtimes.

mod actor;
mod cache;
mod candidates;
mod child;
mod options;
mod process;

pub use actor::{PrepackOptions, Prepacker};
pub use cache::{clear, tidy};
pub use child::run;
pub use options::{PREPACK, PrepackArguments};
