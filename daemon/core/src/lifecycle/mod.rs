//! The life of one model, from UNLOADED to LOADED and back, as a pure state machine.
//!
//! [`Machine::step`] is the only place where a state changes. It is told what happened and when,
//! and answers with what has to be done. Nothing is awaited here: completions come back as
//! events that carry the [`AttemptId`] of the worker they speak of, and a stale one is dropped.

mod machine;
mod refusals;
mod state;
mod step;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod traces;

pub use machine::Machine;
pub use state::{AttemptId, Cause, RequestId, State, StateName, UnloadReason, Waiter};
pub use step::{Effect, Event, IllegalTransition, Limits, Purpose, Stop};
