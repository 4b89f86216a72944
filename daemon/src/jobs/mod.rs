//! Work that takes longer than a request should.
//!
//! One actor owns the jobs that wait or run; every change is written down before it is told. What
//! kinds of work there are is said when the actor is made: each is a [`Work`]. A job that was cut
//! off by the end of the daemon is begun again if its kind of work goes on where it was, and has
//! failed otherwise. What is over is kept for a day.

mod actor;
mod handle;
mod work;
mod works;

pub use actor::{Actor, Options};
pub use handle::Jobs;
pub use work::{Going, Outcome, Progress, Work};
pub use works::{Import, Pull, Quantize, Verify};

#[cfg(test)]
mod tests;
