//! What goes on, from what everybody is told.

use std::collections::HashSet;

use airunner_core::ModelName;
use airunner_core::download::{Download, DownloadId, DownloadState};
use airunner_core::event::{Event, Snapshot, WatchPayload};
use airunner_core::lifecycle::StateName;
use airunner_core::model::Model;

/// Models somebody uses or waits for, and downloads under way.
#[derive(Debug, Default)]
pub(super) struct Activity {
    models: HashSet<ModelName>,
    downloads: HashSet<DownloadId>,
}

impl Activity {
    pub(super) fn hear(&mut self, payload: &WatchPayload) {
        match payload {
            WatchPayload::Snapshot(snapshot) => self.look(snapshot),
            WatchPayload::Event(Event::ModelChanged { model, .. }) => self.model(model),
            WatchPayload::Event(Event::ModelRemoved(name)) => {
                self.models.remove(name);
            }
            WatchPayload::Event(Event::DownloadChanged(download)) => self.download(download),
            WatchPayload::Event(
                Event::MemoryChanged(_)
                | Event::ActivityChanged(_)
                | Event::ActivityEnded(_)
                | Event::NotificationChanged(_)
                | Event::PauseChanged(_)
                | Event::HttpChanged(_)
                | Event::ShuttingDown { .. },
            ) => {}
        }
    }

    pub(super) fn is_answering(&self) -> bool {
        !self.models.is_empty()
    }

    pub(super) fn is_downloading(&self) -> bool {
        !self.downloads.is_empty()
    }

    fn look(&mut self, snapshot: &Snapshot) {
        *self = Self::default();
        for model in &snapshot.models {
            self.model(model);
        }
        for download in &snapshot.downloads {
            self.download(download);
        }
    }

    fn model(&mut self, model: &Model) {
        let is_used = match model.state {
            StateName::Busy | StateName::Loading => true,
            StateName::Unloaded | StateName::Loaded | StateName::Unloading => model.waiting_requests > 0,
        };
        if is_used {
            self.models.insert(model.name.clone());
        } else {
            self.models.remove(&model.name);
        }
    }

    fn download(&mut self, download: &Download) {
        let is_under_way = match download.state {
            DownloadState::Resolving
            | DownloadState::Running
            | DownloadState::Verifying
            | DownloadState::Publishing => true,
            DownloadState::Queued
            | DownloadState::Paused
            | DownloadState::Waiting
            | DownloadState::Failed
            | DownloadState::Done
            | DownloadState::Cancelled => false,
        };
        if is_under_way {
            self.downloads.insert(download.id);
        } else {
            self.downloads.remove(&download.id);
        }
    }
}
