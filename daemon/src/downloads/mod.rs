//! Fetching models from a hub.
//!
//! One actor owns all downloads; everybody else has a [`Downloads`] handle. A download belongs to
//! the daemon: it outlives who asked for it, and a restart. What is fetched is kept by content in
//! an area of its own until all of a package is there and checked; then the package appears in
//! the model store in one step.

mod actor;
mod area;
mod bandwidth;
mod blocking;
mod choose;
mod claims;
mod digest;
mod fetch;
mod handle;
mod hub;
mod job;
mod library;
mod resolve;
mod retry;
mod run;
mod verify;

#[cfg(test)]
mod tests;

pub use actor::Actor;
pub use choose::Ceiling;
pub use handle::{DownloadOptions, Downloads, PullEvents, VerifyEvents};
pub use hub::HubOptions;
pub use library::{Library, Names};
