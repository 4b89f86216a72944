//! Waiting for a model, and having it.

use std::sync::Arc;

use airunner_core::event::{Event, WatchMessage, WatchPayload};
use airunner_core::lifecycle::StateName;
use airunner_core::model::{LoadProgress, Model, Queued};
use airunner_core::{ErrorKind, Fault, ModelName};
use tokio::sync::{oneshot, watch};

use crate::events::Watch;
use crate::workers::Llm;

/// What the actor hands to a caller whose turn has come.
pub(super) struct Grant {
    pub(super) llm: Arc<dyn Llm>,
    /// As it was then; a moment later it may be on its way out again.
    pub(super) model: Box<Model>,
    pub(super) cancelled: oneshot::Receiver<Fault>,
}

/// The caller's sign of life: the actor holds the receiving end, and whenever this is dropped,
/// waiting or granted, the request is over. So a release can neither be forgotten nor be lost.
pub(super) type Presence = oneshot::Sender<std::convert::Infallible>;

/// The right to use a loaded model, until dropped.
pub struct Lease {
    pub llm: Arc<dyn Llm>,
    /// As it was when it was granted.
    pub model: Box<Model>,
    cancelled: oneshot::Receiver<Fault>,
    _presence: Presence,
}

impl Lease {
    /// Why the request must end now; waits until it must.
    pub async fn cancelled(&mut self) -> Fault {
        match (&mut self.cancelled).await {
            Ok(fault) => fault,
            // The actor is gone without a word: so are its workers.
            Err(_) => ended(),
        }
    }
}

/// What happens to somebody who waits.
pub enum Turn {
    /// It is not its turn yet.
    Queued(Queued),
    Loading(LoadProgress),
    Granted(Lease),
}

/// A request for a model that has not been answered. Dropping it gives up.
pub struct Acquisition {
    pub(super) model: ModelName,
    pub(super) changes: Watch,
    pub(super) reply: oneshot::Receiver<Result<Grant, Fault>>,
    /// Its place in the queue.
    pub(super) place: watch::Receiver<Queued>,
    /// Nothing more is said of the place: the request has left the queue.
    pub(super) let_in: bool,
    /// Moves into the lease.
    pub(super) presence: Option<Presence>,
}

/// What the actor answers through: the grant, the place in the queue, and whether anybody waits.
type Ends = (
    oneshot::Sender<Result<Grant, Fault>>,
    watch::Sender<Queued>,
    oneshot::Receiver<std::convert::Infallible>,
);

impl Acquisition {
    /// One that is about to ask, and the actor's ends.
    pub(super) fn new(model: ModelName, changes: Watch) -> (Self, Ends) {
        let (reply, answer) = oneshot::channel();
        let (presence, gone) = oneshot::channel();
        let (place, place_in_line) = watch::channel(Queued::default());
        let acquisition = Self {
            model,
            changes,
            reply: answer,
            place: place_in_line,
            let_in: false,
            presence: Some(presence),
        };
        (acquisition, (reply, place, gone))
    }

    /// Waits until it is loaded, for those who want no more than that.
    pub(super) async fn loaded(mut self) -> Result<(), Fault> {
        loop {
            if let Turn::Granted(lease) = self.turn().await? {
                drop(lease);
                return Ok(());
            }
        }
    }

    /// The next thing that happens; a grant or an error is the last.
    pub async fn turn(&mut self) -> Result<Turn, Fault> {
        loop {
            tokio::select! {
                biased;
                granted = &mut self.reply => return self.granted(granted.unwrap_or_else(|_| Err(ended()))),
                moved = self.place.changed(), if !self.let_in => match moved {
                    Ok(()) => return Ok(Turn::Queued(self.place.borrow_and_update().clone())),
                    Err(_) => self.let_in = true,
                },
                message = self.changes.next() => match message {
                    Some(message) => {
                        if let Some(turn) = self.seen(message) {
                            return Ok(turn);
                        }
                    }
                    None => return Err(ended()),
                },
            }
        }
    }

    fn granted(&mut self, grant: Result<Grant, Fault>) -> Result<Turn, Fault> {
        let Grant {
            llm,
            model,
            cancelled,
        } = grant?;
        let presence = self
            .presence
            .take()
            .ok_or_else(|| Fault::internal("a model was granted twice"))?;
        Ok(Turn::Granted(Lease {
            llm,
            model,
            cancelled,
            _presence: presence,
        }))
    }

    fn seen(&self, message: WatchMessage) -> Option<Turn> {
        match message.payload {
            WatchPayload::Snapshot(snapshot) => snapshot
                .models
                .iter()
                .find(|model| model.name == self.model)
                .and_then(waiting),
            WatchPayload::Event(Event::ModelChanged { model, .. }) if model.name == self.model => {
                waiting(&model)
            }
            WatchPayload::Event(
                Event::ModelChanged { .. }
                | Event::ModelRemoved(_)
                | Event::MemoryChanged(_)
                | Event::DownloadChanged(_)
                | Event::ActivityChanged(_)
                | Event::ActivityEnded(_)
                | Event::NotificationChanged(_)
                | Event::PauseChanged(_)
                | Event::HttpChanged(_)
                | Event::ShuttingDown { .. },
            ) => None,
        }
    }
}

/// What a model in this state means to somebody who waits for it.
fn waiting(model: &Model) -> Option<Turn> {
    let instance = model.instance.as_ref()?;
    match model.state {
        StateName::Loading => Some(Turn::Loading(instance.progress.unwrap_or_default())),
        StateName::Unloaded | StateName::Loaded | StateName::Busy | StateName::Unloading => None,
    }
}

pub(super) fn ended() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon has ended: start it again with \"airunner start\"",
    )
}
