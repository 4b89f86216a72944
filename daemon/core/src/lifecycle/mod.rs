//! The life of one model, from UNLOADED to LOADED and back, as a pure state machine.
//!
//! [`Machine::step`] is the only place where a state changes. It is told what happened and when,
//! and answers with what has to be done. Nothing is awaited here: completions come back as
//! events that carry the [`AttemptId`] of the worker they speak of, and a stale one is dropped.

mod machine;
mod state;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod traces;

pub use machine::{Effect, Event, IllegalTransition, Limits, Machine, Purpose, Stop};
pub use state::{AttemptId, Cause, RequestId, State, StateName, UnloadReason, Waiter};
