//! The models on this machine: what is installed, what is in memory, and who uses it.
//!
//! One actor owns the [`Machine`](airunner_core::lifecycle::Machine) of every model and the
//! [`Residency`](airunner_core::residency::Residency) that divides memory and turns among them,
//! and does what they say. Everybody else has a [`Models`] handle; readers see the published
//! picture and never wait for the actor.

mod acquire;
mod actor;
mod adjust;
mod caller;
mod derive;
mod entry;
mod handle;
mod import;
mod knowledge;
mod memory;
mod message;
mod pause;
mod records;
mod reports;
mod steps;
pub(crate) mod store;
mod threads;
mod upload;
mod waiting;

#[cfg(test)]
pub(crate) mod paper;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod sharing;
#[cfg(test)]
mod swaps;
#[cfg(test)]
mod tests;

pub use acquire::{Acquisition, Lease, Turn};
pub use actor::{Actor, Parts};
pub use adjust::Adjustment;
pub use derive::DeriveRequest;
pub use handle::{Access, Models, Reservation};
pub use import::ImportEvents;
pub use knowledge::{Knowledge, Lived};
pub use pause::Quieting;
pub use records::Records;
pub use store::{Announced, BlobDigest, Card, Changes, Installed, Origin, Part, Store, StoreError};
pub use upload::Upload;
