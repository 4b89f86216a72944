//! Numbers for those who watch the daemon from outside: counted as things happen, and read as
//! text in the format of Prometheus.
//!
//! Nothing of what is asked or answered gets in here, and no name that a stranger could make up:
//! labels are routes, reasons and names of installed models.

mod counters;
mod handle;
mod labels;
mod picture;

#[cfg(test)]
mod tests;

pub use handle::{Metrics, Open, Request};
pub use picture::Picture;
