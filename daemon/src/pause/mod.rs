//! Pausing the program: nothing is loaded or run for a while.
//!
//! One task owns the pause: it keeps it in the database, so that it outlives the daemon, has the
//! models hold it, and ends it when its time is over by the clock of the machine.

mod actor;
mod handle;

#[cfg(test)]
mod tests;

pub use actor::Actor;
pub use handle::Pausing;
