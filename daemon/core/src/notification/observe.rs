//! What of all that happens is worth telling the user.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::item::NewNotification;
use super::stories;
use crate::download::{Download, DownloadId, DownloadState};
use crate::event::{Event, Snapshot, WatchPayload};
use crate::lifecycle::{Cause, StateName, UnloadReason};
use crate::model::Model;
use crate::name::ModelName;
use crate::time::Moment;

/// What follows from something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The user is told.
    Notify(Box<NewNotification>),
    /// What was told under this key is no longer true.
    Withdraw(String),
}

/// Why a model is loaded although nobody waits for it.
const PRELOAD: &str = "preload";

/// Follows the daemon's events. What was so before it looked first is nothing new.
#[derive(Clone, Debug)]
pub struct Observer {
    /// Who waited so long may have gone away.
    long: Duration,
    models: BTreeMap<ModelName, Watched>,
    downloads: BTreeMap<DownloadId, DownloadState>,
    /// The first picture has been seen.
    knows: bool,
}

/// What is remembered of a model.
#[derive(Clone, Copy, Debug)]
struct Watched {
    state: StateName,
    /// Since when somebody waits for it.
    waited_since: Option<Moment>,
}

impl Observer {
    #[must_use]
    pub const fn new(long: Duration) -> Self {
        Self {
            long,
            models: BTreeMap::new(),
            downloads: BTreeMap::new(),
            knows: false,
        }
    }

    /// From how long a wait on it is told.
    pub const fn set_long(&mut self, long: Duration) {
        self.long = long;
    }

    /// What follows from one message of the watch.
    pub fn observe(&mut self, message: &WatchPayload, now: Moment, clock: SystemTime) -> Vec<Observed> {
        match message {
            WatchPayload::Snapshot(snapshot) => self.look(snapshot, now, clock),
            WatchPayload::Event(Event::ModelChanged {
                model,
                cause,
                message,
                ..
            }) => self.model(model, Some((cause, message)), now),
            WatchPayload::Event(Event::ModelRemoved(name)) => {
                self.models.remove(name);
                withdrawn([
                    stories::loaded_key(name),
                    stories::memory_key(name),
                    stories::crash_key(name),
                ])
            }
            WatchPayload::Event(Event::DownloadChanged(download)) => self.download(download, clock),
            WatchPayload::Event(
                Event::MemoryChanged(_)
                | Event::ActivityChanged(_)
                | Event::ActivityEnded(_)
                | Event::NotificationChanged(_)
                | Event::PauseChanged(_)
                | Event::HttpChanged(_)
                | Event::ShuttingDown { .. },
            ) => Vec::new(),
        }
    }

    /// A whole picture: the first one is only remembered, a later one is compared.
    fn look(&mut self, snapshot: &Snapshot, now: Moment, clock: SystemTime) -> Vec<Observed> {
        let is_first = !std::mem::replace(&mut self.knows, true);
        let mut observed = Vec::new();
        for model in &snapshot.models {
            observed.extend(self.model(model, None, now));
        }
        for download in &snapshot.downloads {
            observed.extend(self.download(download, clock));
        }
        self.models
            .retain(|name, _| snapshot.models.iter().any(|model| model.name == *name));
        self.downloads
            .retain(|id, _| snapshot.downloads.iter().any(|download| download.id == *id));
        if is_first { Vec::new() } else { observed }
    }

    fn model(&mut self, model: &Model, why: Option<(&Cause, &String)>, now: Moment) -> Vec<Observed> {
        let before = self.models.get(&model.name).copied();
        let was = before.map_or(StateName::Unloaded, |watched| watched.state);
        let since = before.and_then(|watched| watched.waited_since);
        let watched = Watched {
            state: model.state,
            waited_since: is_wanted(model).then(|| since.unwrap_or(now)),
        };
        self.models.insert(model.name.clone(), watched);
        match model.state {
            StateName::Loaded | StateName::Busy if was != StateName::Loaded && was != StateName::Busy => {
                self.arrived(model, since, now)
            }
            StateName::Unloaded if was != StateName::Unloaded => left(model, why),
            StateName::Unloaded
            | StateName::Loading
            | StateName::Loaded
            | StateName::Busy
            | StateName::Unloading => Vec::new(),
        }
    }

    fn arrived(&self, model: &Model, since: Option<Moment>, now: Moment) -> Vec<Observed> {
        let mut observed = withdrawn([stories::memory_key(&model.name)]);
        let took = since.map(|since| now.since(since)).unwrap_or_default();
        if took >= self.long && !took.is_zero() {
            observed.push(notify(stories::model_loaded(&model.name, took)));
        }
        observed
    }

    fn download(&mut self, download: &Download, clock: SystemTime) -> Vec<Observed> {
        let before = self.downloads.insert(download.id, download.state);
        if before == Some(download.state) {
            return Vec::new();
        }
        match download.state {
            DownloadState::Failed => vec![notify(stories::download_failed(download))],
            DownloadState::Done => {
                let took = clock.duration_since(download.started_at).unwrap_or_default();
                let mut observed = withdrawn([stories::download_key(download)]);
                if took >= self.long {
                    observed.push(notify(stories::download_finished(download)));
                }
                observed
            }
            DownloadState::Queued
            | DownloadState::Resolving
            | DownloadState::Running
            | DownloadState::Verifying
            | DownloadState::Publishing
            | DownloadState::Paused
            | DownloadState::Waiting
            | DownloadState::Cancelled => match before {
                Some(DownloadState::Failed) | None => withdrawn([stories::download_key(download)]),
                Some(_) => Vec::new(),
            },
        }
    }
}

/// Somebody waits for it, and it is not there.
fn is_wanted(model: &Model) -> bool {
    let instance = model.instance.as_ref();
    let is_needless = instance.is_some_and(|instance| instance.loaded_for == PRELOAD)
        || model.last_unload_reason == Some(UnloadReason::Reloaded);
    match model.state {
        StateName::Loading => !is_needless,
        StateName::Unloaded | StateName::Unloading => model.waiting_requests > 0,
        StateName::Loaded | StateName::Busy => false,
    }
}

fn left(model: &Model, why: Option<(&Cause, &String)>) -> Vec<Observed> {
    let mut observed = withdrawn([stories::loaded_key(&model.name)]);
    let (reason, message) = match why {
        Some((Cause::Unload(reason), message)) => (Some(reason), &**message),
        Some(_) => (None, ""),
        None => (model.last_unload_reason.as_ref(), ""),
    };
    match reason {
        Some(UnloadReason::WorkerCrashed) => {
            observed.push(notify(stories::worker_crashed(&model.name, message)));
        }
        Some(UnloadReason::MemoryPressure) => {
            observed.push(notify(stories::memory_pressure_unloaded(&model.name)));
        }
        Some(
            UnloadReason::IdleTimeout
            | UnloadReason::Requested
            | UnloadReason::LoadFailed
            | UnloadReason::LoadCancelled
            | UnloadReason::Shutdown
            | UnloadReason::EvictedFor(_)
            | UnloadReason::EvictedForReservation
            | UnloadReason::Freed
            | UnloadReason::Reloaded
            | UnloadReason::Paused,
        )
        | None => {}
    }
    observed
}

fn notify(story: NewNotification) -> Observed {
    Observed::Notify(Box::new(story))
}

fn withdrawn<const N: usize>(keys: [String; N]) -> Vec<Observed> {
    keys.into_iter().map(Observed::Withdraw).collect()
}

#[cfg(test)]
mod tests;
