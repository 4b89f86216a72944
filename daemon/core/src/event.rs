//! What the daemon tells everybody who watches.

use std::time::Duration;

use crate::activity::{Activity, ActivityId};
use crate::download::Download;
use crate::lifecycle::{Cause, StateName};
use crate::memory::MemoryBreakdown;
use crate::model::Model;
use crate::name::ModelName;
use crate::notification::Notification;
use crate::pause::Pause;
use crate::status::HttpStatus;

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
    Snapshot(Snapshot),
    Event(Event),
}

/// Everything as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    pub models: Vec<Model>,
    pub memory: Vec<MemoryBreakdown>,
    /// Downloads that are not over, and those that ended lately.
    pub downloads: Vec<Download>,
    /// What is worked on besides.
    pub activities: Vec<Activity>,
    /// Notifications that want an answer.
    pub notifications: Vec<Notification>,
    /// Why nothing is loaded or run, if that is so.
    pub paused: Option<Pause>,
    pub http: HttpStatus,
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
    /// Budgets, reservations or what others use have changed noticeably.
    MemoryChanged(Vec<MemoryBreakdown>),
    DownloadChanged(Box<Download>),
    /// One began, or is further.
    ActivityChanged(Box<Activity>),
    ActivityEnded(ActivityId),
    NotificationChanged(Box<Notification>),
    /// A pause began or was changed; `None`: it is over.
    PauseChanged(Option<Pause>),
    /// The HTTP API answers elsewhere, or not any more.
    HttpChanged(HttpStatus),
    ShuttingDown {
        /// How long running requests may still take.
        grace: Duration,
    },
}
