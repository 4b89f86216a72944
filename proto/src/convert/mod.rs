//! Between the wire and the domain types of `airunner-core`, one file per service; the
//! conversations and answers of `llm` have files of their own.
//!
//! `From` goes to the wire and cannot fail. `TryFrom` comes from the wire: it checks shape,
//! ranges, counts and sizes, and refuses with a [`Fault`](airunner_core::Fault) that names the
//! field. A request that is refused is `invalid_argument`; an answer that is not understood is
//! `internal`, because then the two ends do not fit together.

pub mod catalog;
pub mod chat;
pub mod common;
pub mod control;
pub mod downloads;
pub mod error;
pub mod hardware;
pub mod keys;
pub mod llm;
pub mod memory;
pub mod models;
pub mod notifications;
pub mod quantize;
pub mod settings;
pub mod usage;
pub mod worker;

mod answer;
mod json;
mod wire;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod round_trips;
#[cfg(test)]
mod samples;

pub use error::{fault_from_status, status_from_fault};
