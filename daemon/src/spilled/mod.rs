//! What models computed of conversations, as workers keep it on the disk where that is asked for.
//!
//! Owns that the directory is there, for this user alone, and that no more is in it than may be:
//! workers keep to the limit while they write; here it is what removed models left, a limit that
//! became smaller, and everything once nothing is to be kept any more. What lies in the directory,
//! and in what form, is the business of the runtimes.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use airunner_core::event::{Event, WatchPayload};
use airunner_core::lifecycle::StateName;
use airunner_platform::private;
use airunner_runtimes::llm::spilled;
use tokio::sync::watch;

use crate::models::Models;
use crate::shutdown::Ending;

/// Makes the directory, which workers write into only if it is there. Without it they keep
/// nothing, so a failure is told and no more.
pub fn prepare(directory: &Path) {
    let made = private::create(directory).map_err(private::NotPrivate::Unreadable);
    if let Err(error) = made.and_then(|()| private::check(directory)) {
        let error = airunner_core::error::chain(&error);
        tracing::warn!(%error, "keys and values cannot be kept on the disk");
    }
}

/// One for the whole daemon.
pub struct Keeper {
    models: Models,
    directory: PathBuf,
    /// Most bytes; `None`: nothing is kept.
    limit: watch::Receiver<Option<u64>>,
}

impl Keeper {
    #[must_use]
    pub const fn new(models: Models, directory: PathBuf, limit: watch::Receiver<Option<u64>>) -> Self {
        Self {
            models,
            directory,
            limit,
        }
    }

    /// Until the end is asked for.
    pub async fn run(mut self, ending: Ending) {
        let mut changes = self.models.watch();
        loop {
            self.tidy().await;
            loop {
                tokio::select! {
                    () = ending.asked() => return,
                    changed = self.limit.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    change = changes.next() => match change {
                        Some(change) if leaves_something(&change.payload) => break,
                        Some(_) => {}
                        None => return,
                    },
                }
            }
        }
    }

    async fn tidy(&mut self) {
        let limit = *self.limit.borrow_and_update();
        let directory = self.directory.clone();
        let models = self.models.list().into_iter();
        let installed: HashSet<String> = models.map(|model| model.name.to_string()).collect();
        let tidied = tokio::task::spawn_blocking(move || match limit {
            Some(limit) => {
                prepare(&directory);
                spilled::tidy(&directory, &installed, limit)
            }
            None => spilled::clear(&directory),
        });
        let error = match tidied.await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(%error, "what was kept of conversations could not all be deleted");
    }
}

/// A model that is removed leaves what is not needed any more; a worker that began before a
/// setting was changed may have gone by the old one until its end. Behind a whole picture events
/// may be missing.
fn leaves_something(payload: &WatchPayload) -> bool {
    let event = match payload {
        WatchPayload::Snapshot(_) => return true,
        WatchPayload::Event(event) => event,
    };
    match event {
        Event::ModelRemoved(_) => true,
        Event::ModelChanged { model, from, .. } => {
            model.state == StateName::Unloaded && *from != StateName::Unloaded
        }
        Event::MemoryChanged(_)
        | Event::DownloadChanged(_)
        | Event::ActivityChanged(_)
        | Event::ActivityEnded(_)
        | Event::NotificationChanged(_)
        | Event::PauseChanged(_)
        | Event::HttpChanged(_)
        | Event::ShuttingDown { .. } => false,
    }
}
