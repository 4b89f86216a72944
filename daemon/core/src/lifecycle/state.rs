//! The states of a model and the words for what changes them.

use std::collections::BTreeSet;
use std::fmt;

use super::step::Purpose;
use crate::model::LoadProgress;
use crate::time::Moment;

/// One life of one worker. Never used twice within a daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub u64);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One caller who wants the model. Never used twice within a daemon's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A caller whose turn has not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    pub request: RequestId,
    pub purpose: Purpose,
}

/// Where a model is, with exactly the data that belongs to it there.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// No worker, no memory.
    Unloaded { last: Option<UnloadReason> },
    /// A worker starts and reads the package; `waiting` is never empty.
    Loading {
        attempt: AttemptId,
        progress: LoadProgress,
        waiting: Vec<Waiter>,
    },
    /// Ready, nobody uses it.
    Loaded { attempt: AttemptId, idle_since: Moment },
    /// In use; `active` is never empty. With `leaving` set it is unloaded once the active
    /// requests have ended, and who comes now waits for the load after that.
    Busy {
        attempt: AttemptId,
        active: BTreeSet<RequestId>,
        leaving: Option<UnloadReason>,
        waiting: Vec<Waiter>,
    },
    /// The worker is ending; who waits gets a load after that.
    Unloading {
        attempt: AttemptId,
        reason: UnloadReason,
        waiting: Vec<Waiter>,
    },
}

impl State {
    #[must_use]
    pub const fn name(&self) -> StateName {
        match self {
            Self::Unloaded { .. } => StateName::Unloaded,
            Self::Loading { .. } => StateName::Loading,
            Self::Loaded { .. } => StateName::Loaded,
            Self::Busy { .. } => StateName::Busy,
            Self::Unloading { .. } => StateName::Unloading,
        }
    }

    /// The worker alive in this state.
    #[must_use]
    pub const fn attempt(&self) -> Option<AttemptId> {
        match self {
            Self::Unloaded { .. } => None,
            Self::Loading { attempt, .. }
            | Self::Loaded { attempt, .. }
            | Self::Busy { attempt, .. }
            | Self::Unloading { attempt, .. } => Some(*attempt),
        }
    }

    /// Requests being worked on.
    #[must_use]
    pub fn active(&self) -> usize {
        match self {
            Self::Busy { active, .. } => active.len(),
            Self::Unloaded { .. } | Self::Loading { .. } | Self::Loaded { .. } | Self::Unloading { .. } => 0,
        }
    }

    /// Callers whose turn has not come.
    #[must_use]
    pub fn waiting(&self) -> &[Waiter] {
        match self {
            Self::Loading { waiting, .. } | Self::Busy { waiting, .. } | Self::Unloading { waiting, .. } => {
                waiting
            }
            Self::Unloaded { .. } | Self::Loaded { .. } => &[],
        }
    }
}

/// A state without its data, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateName {
    Unloaded,
    Loading,
    Loaded,
    Busy,
    Unloading,
}

impl StateName {
    pub const ALL: [Self; 5] = [
        Self::Unloaded,
        Self::Loading,
        Self::Loaded,
        Self::Busy,
        Self::Unloading,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unloaded => "UNLOADED",
            Self::Loading => "LOADING",
            Self::Loaded => "LOADED",
            Self::Busy => "BUSY",
            Self::Unloading => "UNLOADING",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a model left memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UnloadReason {
    /// Nobody asked for it for the keep-alive time.
    IdleTimeout,
    /// Somebody asked for the unload.
    Requested,
    /// Its worker died.
    WorkerCrashed,
    /// It could not be loaded.
    LoadFailed,
    /// Nobody waited for the load any more.
    LoadCancelled,
    /// The daemon ends.
    Shutdown,
}

impl UnloadReason {
    pub const ALL: [Self; 6] = [
        Self::IdleTimeout,
        Self::Requested,
        Self::WorkerCrashed,
        Self::LoadFailed,
        Self::LoadCancelled,
        Self::Shutdown,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle_timeout",
            Self::Requested => "requested",
            Self::WorkerCrashed => "worker_crashed",
            Self::LoadFailed => "load_failed",
            Self::LoadCancelled => "load_cancelled",
            Self::Shutdown => "shutdown",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What made a model change, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A request or an explicit load came.
    Request,
    /// The load went further.
    Progress,
    /// The load is complete.
    Loaded,
    /// A request ended.
    RequestEnded,
    /// It leaves or has left memory.
    Unload(UnloadReason),
    /// The package was installed.
    Installed,
}

impl Cause {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Progress => "progress",
            Self::Loaded => "loaded",
            Self::RequestEnded => "request_ended",
            Self::Unload(reason) => reason.as_str(),
            Self::Installed => "installed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Request,
            Self::Progress,
            Self::Loaded,
            Self::RequestEnded,
            Self::Installed,
        ]
        .into_iter()
        .chain(UnloadReason::ALL.into_iter().map(Self::Unload))
        .find(|cause| cause.as_str() == text)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
