//! Models that are known, installed or not. Needs no network.
//!
//! Owns the list that ships with the program and the user's own beside the settings, which is
//! read again when it has changed. What of a model fits is told by whoever knows the memory.

mod error;
mod handle;
mod read;
mod user;

#[cfg(test)]
mod tests;

pub use handle::Catalog;

/// Name of the user's list, beside `config.toml`.
pub const FILE_NAME: &str = "models.toml";
