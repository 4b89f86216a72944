//! What is worked on for a while besides loads, answers and downloads: imports, checks, smaller
//! models. Everybody who watches is told of each, and may give it up.
//!
//! Nothing is done here. Work tells how far it is by a stream of its own, and ends when nobody
//! reads that any more; here the stream is passed on, looked at, and ended.

mod handle;
mod steps;
#[cfg(test)]
mod tests;

pub use handle::Activities;
pub use steps::{Step, share};
