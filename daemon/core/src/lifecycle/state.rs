//! The states of a model and the words for what changes them.

use std::collections::BTreeSet;
use std::fmt;

use super::step::Purpose;
use crate::model::LoadProgress;
use crate::name::ModelName;
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

/// A caller who waits for the load.
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
    /// requests have ended, and nobody else is let in.
    Busy {
        attempt: AttemptId,
        active: BTreeSet<RequestId>,
        leaving: Option<UnloadReason>,
    },
    /// The worker is ending.
    Unloading {
        attempt: AttemptId,
        reason: UnloadReason,
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

    /// Callers who wait for the load.
    #[must_use]
    pub fn waiting(&self) -> &[Waiter] {
        match self {
            Self::Loading { waiting, .. } => waiting,
            Self::Unloaded { .. } | Self::Loaded { .. } | Self::Busy { .. } | Self::Unloading { .. } => &[],
        }
    }

    /// True if a caller can be let in: to use it, to wait for its load, or to start one.
    #[must_use]
    pub const fn admits(&self) -> bool {
        match self {
            Self::Unloaded { .. } | Self::Loading { .. } | Self::Loaded { .. } => true,
            Self::Busy { leaving, .. } => leaving.is_none(),
            Self::Unloading { .. } => false,
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Another model needed the memory.
    EvictedFor(ModelName),
    /// A client's reservation needed the memory.
    EvictedForReservation,
    /// The system ran short of memory.
    MemoryPressure,
    /// Somebody wanted the memory of all idle models back.
    Freed,
    /// It is loaded anew, with other options or from its faster copy.
    Reloaded,
    /// Somebody has paused the program.
    Paused,
}

/// What comes before the name of the model that took the memory.
const EVICTED_FOR: &str = "evicted_for:";

impl UnloadReason {
    /// Those without data.
    pub const PLAIN: [Self; 11] = [
        Self::IdleTimeout,
        Self::Requested,
        Self::WorkerCrashed,
        Self::LoadFailed,
        Self::LoadCancelled,
        Self::Shutdown,
        Self::EvictedForReservation,
        Self::MemoryPressure,
        Self::Freed,
        Self::Reloaded,
        Self::Paused,
    ];

    /// The reason without its data, for counting.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::IdleTimeout => "idle_timeout",
            Self::Requested => "requested",
            Self::WorkerCrashed => "worker_crashed",
            Self::LoadFailed => "load_failed",
            Self::LoadCancelled => "load_cancelled",
            Self::Shutdown => "shutdown",
            Self::EvictedFor(_) => "evicted_for",
            Self::EvictedForReservation => "evicted_for_reservation",
            Self::MemoryPressure => "memory_pressure",
            Self::Freed => "freed",
            Self::Reloaded => "reloaded",
            Self::Paused => "paused",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(model) = text.strip_prefix(EVICTED_FOR) {
            return ModelName::new(model).ok().map(Self::EvictedFor);
        }
        Self::PLAIN.into_iter().find(|reason| reason.name() == text)
    }
}

impl fmt::Display for UnloadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EvictedFor(model) => write!(f, "{EVICTED_FOR}{model}"),
            Self::IdleTimeout
            | Self::Requested
            | Self::WorkerCrashed
            | Self::LoadFailed
            | Self::LoadCancelled
            | Self::Shutdown
            | Self::EvictedForReservation
            | Self::MemoryPressure
            | Self::Freed
            | Self::Reloaded
            | Self::Paused => f.write_str(self.name()),
        }
    }
}

/// What made a model change, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// A request came that has to wait for memory, or one that waited is gone.
    Waiting,
    /// It was pinned or let go.
    Pinned,
}

impl Cause {
    /// Those without data.
    pub const PLAIN: [Self; 7] = [
        Self::Request,
        Self::Progress,
        Self::Loaded,
        Self::RequestEnded,
        Self::Installed,
        Self::Waiting,
        Self::Pinned,
    ];

    const fn name(&self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Progress => "progress",
            Self::Loaded => "loaded",
            Self::RequestEnded => "request_ended",
            Self::Unload(reason) => reason.name(),
            Self::Installed => "installed",
            Self::Waiting => "waiting",
            Self::Pinned => "pinned",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::PLAIN
            .into_iter()
            .find(|cause| cause.name() == text)
            .or_else(|| UnloadReason::parse(text).map(Self::Unload))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unload(reason) => reason.fmt(f),
            Self::Request
            | Self::Progress
            | Self::Loaded
            | Self::RequestEnded
            | Self::Installed
            | Self::Waiting
            | Self::Pinned => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_reads_back_from_its_text() {
        let evicted = UnloadReason::EvictedFor(ModelName::new("owner/model").unwrap());
        assert_eq!(evicted.to_string(), "evicted_for:owner/model");
        let reasons = UnloadReason::PLAIN
            .into_iter()
            .chain([evicted])
            .map(Cause::Unload);
        for cause in Cause::PLAIN.into_iter().chain(reasons) {
            assert_eq!(Cause::parse(&cause.to_string()), Some(cause));
        }
        assert_eq!(Cause::parse("evicted_for:../etc"), None);
    }
}
