//! What goes into a step of the machine and what comes out of it.

use super::state::{AttemptId, Cause, RequestId, StateName, UnloadReason};
use crate::error::Fault;
use crate::keep_alive::KeepAlive;
use crate::model::LoadProgress;
use crate::time::Moment;

/// What a caller wants the model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To have it loaded; the model is free again as soon as it is.
    Load,
    /// To use it, until the request is released.
    Use,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Somebody wants the model.
    Acquire {
        request: RequestId,
        purpose: Purpose,
        keep_alive: Option<KeepAlive>,
    },
    /// A request has ended or was given up, at whatever stage it was.
    Release { request: RequestId },
    /// The worker reads on.
    Progress {
        attempt: AttemptId,
        progress: LoadProgress,
    },
    /// The worker is ready.
    LoadSucceeded { attempt: AttemptId },
    /// The load failed and the worker is gone; `crashed` if it died by itself. With `retry`,
    /// who waited is sent back into the queue instead of being refused.
    LoadFailed {
        attempt: AttemptId,
        fault: Fault,
        crashed: bool,
        retry: bool,
    },
    /// The worker died though nobody asked it to.
    WorkerExited { attempt: AttemptId, fault: Fault },
    /// The worker that was told to stop is gone.
    Stopped { attempt: AttemptId },
    /// The wake-up asked for by [`Effect::WakeAt`], or any other look at the clock.
    Tick,
    /// Somebody wants the memory back; `force` does not wait for active requests.
    Unload { force: bool },
    /// The memory is needed elsewhere: an idle model goes, one in use stays.
    Evict { reason: UnloadReason },
    /// Somebody pauses the program: as an unload, and whoever waits or is cancelled is told why.
    Pause { force: bool, fault: Fault },
    /// The pause is over: what only finished what it had been asked may stay.
    Resume,
    /// The daemon ends; nothing is loaded from now on.
    Shutdown,
}

/// What has to be done, in this order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell everybody. `from` and `to` are equal if only counts or progress changed.
    Announce {
        from: StateName,
        to: StateName,
        cause: Cause,
        message: String,
    },
    StartWorker {
        attempt: AttemptId,
    },
    StopWorker {
        attempt: AttemptId,
        stop: Stop,
    },
    /// The caller's turn has come.
    Grant {
        request: RequestId,
        attempt: AttemptId,
    },
    /// The caller has to queue again.
    Requeue {
        request: RequestId,
    },
    /// The caller will not get the model.
    Refuse {
        request: RequestId,
        fault: Fault,
    },
    /// End this active request now.
    Cancel {
        request: RequestId,
        fault: Fault,
    },
    /// Send [`Event::Tick`] then; `None` cancels an earlier wish.
    WakeAt(Option<Moment>),
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It may finish by itself for a moment.
    Graceful,
    /// At once.
    Kill,
}

/// An event that cannot happen in that state: a defect of the caller, changing nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event} cannot happen to a model that is {state}")]
pub struct IllegalTransition {
    pub state: StateName,
    pub event: &'static str,
}

/// Fixed numbers a machine decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub keep_alive: KeepAlive,
}
