//! Keys of the HTTP API, the token of the local user, and the audit log.
//!
//! Owns who a presented key is, which is answered from memory, and the file with the local
//! token. Which right a request needs is not decided here.

mod actor;
mod book;
mod handle;
mod secret;
mod token;

#[cfg(test)]
mod tests;

pub use actor::Actor;
pub use handle::Keys;

/// Name of the file with the local token in the data directory.
pub const TOKEN_FILE: &str = "http-token";
