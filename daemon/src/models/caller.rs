//! Those who want a model, from the first word to the last.

use std::time::Duration;

use airunner_core::generate::ClientId;
use airunner_core::lifecycle::{Purpose, RequestId};
use airunner_core::model::Queued;
use airunner_core::residency::{Demand, Wishes};
use airunner_core::{Fault, KeepAlive, ModelName, Moment, Priority};
use tokio::sync::{oneshot, watch};

use super::acquire::Grant;

/// Who does not want to wait at all still gives the daemon the time to see that it need not.
const AT_ONCE: Duration = Duration::from_millis(50);

/// How somebody wants a model.
#[derive(Clone, Debug)]
pub(super) struct Want {
    pub(super) name: ModelName,
    pub(super) purpose: Purpose,
    pub(super) keep_alive: Option<KeepAlive>,
    pub(super) client: ClientId,
    pub(super) priority: Priority,
    pub(super) max_wait: Option<Duration>,
    pub(super) wishes: Wishes,
    /// Only with a load: keep it when others need memory, or no longer.
    pub(super) pinned: Option<bool>,
    /// False for what is only nice to have.
    pub(super) may_evict: bool,
    /// What `ps` says it was loaded for.
    pub(super) why: &'static str,
}

impl Want {
    pub(super) fn demand(&self, request: RequestId, now: Moment) -> Demand {
        Demand {
            request,
            model: self.name.clone(),
            client: self.client,
            priority: self.priority,
            arrived: now,
            deadline: self.max_wait.map(|wait| now.plus(wait.max(AT_ONCE))),
            wishes: self.wishes,
            may_evict: self.may_evict,
            start: 0,
        }
    }
}

/// One who has asked.
pub(super) enum Caller {
    /// In the queue, or waiting for a load.
    Waiting(Waiting),
    /// Has the model.
    Active {
        model: ModelName,
        purpose: Purpose,
        since: Moment,
        cancel: oneshot::Sender<Fault>,
    },
}

pub(super) struct Waiting {
    pub(super) want: Want,
    pub(super) demand: Demand,
    pub(super) reply: oneshot::Sender<Result<Grant, Fault>>,
    pub(super) place: watch::Sender<Queued>,
}

impl Caller {
    pub(super) fn model(&self) -> &ModelName {
        match self {
            Self::Waiting(waiting) => &waiting.want.name,
            Self::Active { model, .. } => model,
        }
    }
}
