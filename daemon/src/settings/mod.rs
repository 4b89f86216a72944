//! The settings while the program runs: seen, changed, applied.
//!
//! `config` says what can be set and how the file is read and written. This domain says what is
//! set where, changes it, and has the running domains go by it where that is possible; for the
//! rest it says that a restart is needed. What the operating system knows better, such as whether
//! the daemon starts at login, is asked of it and not kept.

mod actor;
mod book;
mod handle;

#[cfg(test)]
mod tests;

pub use actor::{Actor, Live};
pub use book::{Book, Login, Wish};
pub use handle::Handle;
