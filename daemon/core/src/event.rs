//! What the daemon tells everybody who watches.

use std::time::Duration;

use crate::lifecycle::{Cause, StateName};
use crate::model::Model;
use crate::name::ModelName;

/// One message of the watch stream.
#[derive(Clone, Debug, PartialEq)]
pub struct WatchMessage {
    /// Counts up by one with every event; a snapshot carries the number it is valid at.
    pub sequence: u64,
    pub payload: WatchPayload,
}

#[derive(Clone, Debug, PartialEq)]
pub enum WatchPayload {
    /// Everything, at the beginning and after a reader fell behind.
    Snapshot(Vec<Model>),
    Event(Event),
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    ModelChanged {
        model: Box<Model>,
        /// State before; equal to the model's for progress and counts.
        from: StateName,
        cause: Cause,
        /// For a person; empty unless there is something to say.
        message: String,
    },
    ModelRemoved(ModelName),
    ShuttingDown {
        /// How long running requests may still take.
        grace: Duration,
    },
}
