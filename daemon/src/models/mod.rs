//! The models on this machine: what is installed, what is in memory, and who uses it.
//!
//! One actor owns the [`Machine`](airunner_core::lifecycle::Machine) of every model and does what
//! it says. Everybody else has a [`Models`] handle; readers see the published snapshot and never
//! wait for the actor.

mod acquire;
mod actor;
mod entry;
mod handle;
mod hub;
mod import;
mod store;

#[cfg(test)]
mod tests;

pub use acquire::{Acquisition, Lease, Turn};
pub use actor::Actor;
pub use handle::Models;
pub use hub::Watch;
pub use import::ImportEvents;
pub use store::{Installed, Store, StoreError};
