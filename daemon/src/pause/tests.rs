use std::sync::Arc;
use std::time::Duration;

use airunner_core::event::{Event, WatchPayload};
use airunner_core::memory::Budget;
use airunner_core::pause::PauseRequest;
use airunner_core::{ErrorKind, KeepAlive};

use super::*;
use crate::events;
use crate::models::paper::{Paperwork, parts};
use crate::models::{Models, Store};
use crate::storage::Storage;
use crate::workers::{Launcher, Order, Reports, WorkerHandle};

/// Nothing is loaded here.
struct Idle;

impl Launcher for Idle {
    fn launch(&self, _order: Order, _reports: Reports) -> WorkerHandle {
        WorkerHandle::new().0
    }
}

struct World {
    _home: tempfile::TempDir,
    models: Models,
    storage: Storage,
    pausing: Pausing,
}

fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("models"), home.path().join("builtin")).unwrap();
    let (publisher, hub) = events::hub();
    let launcher = Arc::new(Idle);
    let paperwork = Paperwork::default();
    let parts = parts(
        launcher,
        paperwork,
        publisher,
        KeepAlive::Forever,
        Budget::default(),
    );
    let (models, actor) = Models::new(Arc::new(store), hub, parts, None);
    tokio::spawn(actor.run());
    let storage = Storage::open(&home.path().join("airunner.db")).unwrap();
    let (pausing, actor) = Pausing::new(models.clone(), storage.clone());
    tokio::spawn(actor.run());
    World {
        _home: home,
        models,
        storage,
        pausing,
    }
}

fn seconds(number: u64) -> PauseRequest {
    PauseRequest {
        length: Some(Duration::from_secs(number)),
        force: false,
    }
}

#[tokio::test]
async fn a_pause_outlives_the_daemon_and_a_resumed_one_does_not() {
    let world = world();
    let paused = world.pausing.pause(PauseRequest::default()).await.unwrap();
    let kept = Pausing::kept(&world.storage).await.unwrap().unwrap();
    assert_eq!((kept.until, paused.pause.until), (None, None));
    assert!(world.pausing.resume().await.unwrap());
    assert_eq!(Pausing::kept(&world.storage).await.unwrap(), None);
    assert!(!world.pausing.resume().await.unwrap());
}

#[tokio::test]
async fn a_pause_ends_by_itself_and_a_later_one_replaces_its_time() {
    let world = world();
    let mut changes = world.models.watch();
    changes.next().await.unwrap();
    world.pausing.pause(seconds(3600)).await.unwrap();
    world.pausing.pause(seconds(1)).await.unwrap();
    let mut told = Vec::new();
    while told.last() != Some(&None) {
        let message = changes.next().await.unwrap();
        if let WatchPayload::Event(Event::PauseChanged(paused)) = message.payload {
            told.push(paused.map(|pause| pause.until.unwrap().duration_since(pause.since).unwrap()));
        }
    }
    let lengths = [Duration::from_secs(3600), Duration::from_secs(1)].map(Some);
    assert_eq!(told, [lengths[0], lengths[1], None]);
    assert_eq!(
        world.storage.pause().await.unwrap(),
        None,
        "not even as one that is over"
    );
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let world = world();
    let fault = world.pausing.pause(seconds(0)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::InvalidArgument);
    assert_eq!(world.models.paused(), None);
}
