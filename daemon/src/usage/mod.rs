//! What was used and what it cost. It stays on this machine.
//!
//! Owns the counting between an event and the database: whoever has something to tell never
//! waits, and a busy model causes one write a second. Decides nothing.

mod actor;
mod handle;

#[cfg(test)]
mod tests;

pub use actor::Actor;
pub use handle::Usage;
