//! What others want of the models.

use std::convert::Infallible;
use std::time::Duration;

use airunner_core::hardware::Device;
use airunner_core::memory::{
    BudgetChange, Estimate, EstimateRequest, MemoryBreakdown, MemoryReading, Permission, PermissionRequest,
};
use airunner_core::model::Queued;
use airunner_core::pause::Pause;
use airunner_core::residency::ReservationId;
use airunner_core::{Fault, ModelName};
use tokio::sync::{oneshot, watch};

use super::acquire::Grant;
use super::adjust::Adjustment;
use super::caller::Want;
use super::pause::Quieting;
use super::store::Installed;

/// Resolves when the other end is gone, at whatever stage.
pub(super) type Gone = oneshot::Receiver<Infallible>;
type Reply<T> = oneshot::Sender<T>;

pub(super) enum Message {
    Acquire {
        want: Want,
        reply: Reply<Result<Grant, Fault>>,
        place: watch::Sender<Queued>,
        gone: Gone,
    },
    /// Replaces that worker by one that is loaded alike, if nobody needs it or waits.
    Renew {
        name: ModelName,
        pid: u32,
        reply: Reply<Result<Grant, Fault>>,
        place: watch::Sender<Queued>,
        gone: Gone,
    },
    /// Answers when the worker is gone: true if there was one.
    Unload {
        name: ModelName,
        force: bool,
        reply: Reply<Result<bool, Fault>>,
    },
    /// A package was put into the store.
    Install { installed: Installed, reply: Reply<()> },
    /// Takes a model that is not in use out of the list, for its deletion.
    Forget {
        name: ModelName,
        reply: Reply<Result<Installed, Fault>>,
    },
    /// Where an installed model is.
    Find {
        name: ModelName,
        reply: Reply<Result<Installed, Fault>>,
    },
    Estimate {
        request: EstimateRequest,
        reply: Reply<Result<Estimate, Fault>>,
    },
    CanPerform {
        request: PermissionRequest,
        reply: Reply<Permission>,
    },
    Budget {
        change: BudgetChange,
        reply: Reply<Vec<MemoryBreakdown>>,
    },
    /// Has it go by other settings.
    Adjust {
        adjustment: Adjustment,
        reply: Reply<()>,
    },
    /// What the devices say.
    Readings(Vec<(Device, MemoryReading)>),
    /// The system runs short of memory.
    Pressure { device: Device, shortage_bytes: u64 },
    /// Unloads everything idle; answers with what goes and whom to wait for.
    Free { pinned: bool, reply: Reply<Vec<Going>> },
    Reserve {
        device: Device,
        bytes: u64,
        /// Idle models may go for it.
        evict: bool,
        gone: Gone,
        reply: Reply<Result<ReservationId, Fault>>,
    },
    Resize {
        id: ReservationId,
        device: Device,
        bytes: u64,
        reply: Reply<Result<(), Fault>>,
    },
    /// The largest memory one model could have on each device that runs models.
    Ceilings { reply: Reply<Vec<(Device, u64)>> },
    /// No load and no request until it is over; answers with what goes, and with what goes later.
    Pause {
        pause: Pause,
        force: bool,
        reply: Reply<Quieting>,
    },
    /// Answers true if there was a pause.
    Resume { reply: Reply<bool> },
    /// No load from now on; answers when no worker is left.
    Shutdown { grace: Duration, reply: Reply<()> },
    /// Answers when everything that happened before has been dealt with.
    Settle { reply: Reply<()> },
    /// Ends all workers now.
    Abandon,
    /// Ends the actor and, with it, every watch.
    End,
}

/// A model that is being unloaded.
pub(super) struct Going {
    pub(super) name: ModelName,
    pub(super) bytes: u64,
    pub(super) gone: oneshot::Receiver<Result<bool, Fault>>,
}
