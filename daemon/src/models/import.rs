//! An import, from request to announcement.

use std::path::PathBuf;
use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::model::{ImportEvent, ImportProgress, ImportRequest};
use tokio::sync::mpsc;

use super::handle::{Models, blocking};
use super::store::{Observer, Store};

/// Progress, then the installed model or an error.
pub type ImportEvents = mpsc::Receiver<Result<ImportEvent, Fault>>;

const CAPACITY: usize = 16;

/// Runs beside the actor, which hears of the model once it is complete.
pub(super) fn import(models: Models, store: Arc<Store>, request: ImportRequest) -> ImportEvents {
    let (sender, events) = mpsc::channel(CAPACITY);
    tokio::spawn(async move {
        let outcome = run(&models, store, request, sender.clone()).await;
        if sender.send(outcome).await.is_err() {
            tracing::debug!("nobody waits for the import any more");
        }
    });
    events
}

async fn run(
    models: &Models,
    store: Arc<Store>,
    request: ImportRequest,
    sender: mpsc::Sender<Result<ImportEvent, Fault>>,
) -> Result<ImportEvent, Fault> {
    let name = request.name.clone();
    let listed: Vec<_> = models.list().into_iter().map(|model| model.name).collect();
    let caller = Caller {
        sender,
        models: models.clone(),
    };
    let work = move || {
        let directory = PathBuf::from(request.directory);
        let installed = if request.link {
            store.link(&directory, &request.name, &listed, &caller)
        } else {
            store.import(&directory, &request.name, &listed, &caller)
        };
        Ok(installed?)
    };
    models.installed(blocking(work).await?).await?;
    Ok(ImportEvent::Installed(Box::new(models.model(&name)?)))
}

/// Tells a caller how far it is, as far as the caller listens.
struct Caller {
    sender: mpsc::Sender<Result<ImportEvent, Fault>>,
    models: Models,
}

impl Observer for Caller {
    fn progress(&self, progress: ImportProgress) {
        // A reader that is slow misses intermediate progress, which the next replaces.
        drop(self.sender.try_send(Ok(ImportEvent::Progress(progress))));
    }

    fn is_cancelled(&self) -> bool {
        self.sender.is_closed() || self.models.is_shutting_down()
    }
}
