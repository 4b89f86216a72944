//! The actor with a daemon that fails around it.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use airunner_core::catalog::CatalogEntry;
use airunner_core::download::{DownloadId, DownloadState, PullEvent, PullRequest};
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault, ModelName};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use crate::downloads::choose::Ceiling;
use crate::downloads::handle::{DownloadOptions, Downloads};
use crate::downloads::hub::HubOptions;
use crate::downloads::library::{Library, Names};
use crate::models::{Installed, Store};
use crate::storage::{ContentRecord, DownloadFileRecord, DownloadRecord, Storage};

/// Everything that is asked of it fails as nothing should.
struct Broken;

impl Library for Broken {
    fn models(&self) -> Vec<Model> {
        Vec::new()
    }

    fn store(&self) -> Arc<Store> {
        panic!("there is no store")
    }

    fn installed(&self, _: Installed) -> BoxFuture<'_, Result<(), Fault>> {
        panic!("nothing is installed")
    }

    fn ceilings(&self) -> BoxFuture<'_, Vec<Ceiling>> {
        panic!("nobody knows")
    }
}

impl Names for Broken {
    fn find<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<CatalogEntry>, Fault>> {
        Box::pin(async { Ok(None) })
    }
}

fn options(home: &Path, offline: bool) -> DownloadOptions {
    DownloadOptions {
        hub: HubOptions {
            endpoint: "https://hub.invalid".to_owned(),
            token: None,
            allow_private_addresses: false,
            offline,
        },
        directory: home.join("downloads"),
        hub_cache: None,
        connections: 1,
        bandwidth: None,
    }
}

async fn open(home: &Path, offline: bool, storage: &Storage) -> Downloads {
    let (publisher, _hub) = crate::events::hub();
    let (options, storage) = (options(home, offline), storage.clone());
    let (library, names) = (Arc::new(Broken), Arc::new(Broken));
    let opened = Downloads::open(options, storage, library, names, publisher).await;
    let (downloads, actor) = opened.unwrap();
    tokio::spawn(actor.run());
    downloads
}

#[tokio::test]
async fn a_run_that_panics_has_failed_and_can_be_cancelled() {
    let home = tempfile::tempdir().unwrap();
    let storage = Storage::open(&home.path().join("test.db")).unwrap();
    let downloads = open(home.path(), false, &storage).await;
    let request = PullRequest {
        source: "team/tiny".to_owned(),
        revision: None,
        level: None,
        name: None,
    };
    let events = downloads.pull(request).await.unwrap();
    let events: Vec<Result<PullEvent, Fault>> = events.collect().await;
    let fault = events.into_iter().find_map(Result::err).unwrap();
    assert_eq!(fault.kind, ErrorKind::Internal, "{fault}");
    let id = downloads.list().await.unwrap()[0].id;
    let cancelled = downloads.cancel(id).await.unwrap();
    assert_eq!(cancelled.state, DownloadState::Cancelled);
    downloads.shutdown().await;
}

#[tokio::test]
async fn who_pauses_is_told_what_the_next_daemon_will_know() {
    const SIZE: u64 = (3 << 20) + 5;
    let home = tempfile::tempdir().unwrap();
    let storage = Storage::open(&home.path().join("test.db")).unwrap();
    let digest = format!("sha256:{}", "ab".repeat(32));
    let record = DownloadRecord {
        id: DownloadId(0),
        name: ModelName::new("tiny").unwrap(),
        repository: "team/tiny".to_owned(),
        revision: "main".to_owned(),
        wish: None,
        commit: Some("0123".to_owned()),
        level: None,
        directory: String::new(),
        state: DownloadState::Queued,
        fault: None,
        total_bytes: SIZE,
        started_at: SystemTime::UNIX_EPOCH,
    };
    let id = storage.add_download(record.clone()).await.unwrap();
    let file = DownloadFileRecord {
        path: "model.onnx".to_owned(),
        digest: digest.clone(),
        size: SIZE,
    };
    let planned = storage.set_download_plan(DownloadRecord { id, ..record }, vec![file]);
    planned.await.unwrap();
    let downloads = open(home.path(), true, &storage).await;
    assert_eq!(downloads.list().await.unwrap()[0].done_bytes, 0);
    // Another download has it too, and wrote down the first and the last chunk.
    let content = ContentRecord {
        chunks: vec![0b1001],
        ..ContentRecord::default()
    };
    storage.put_content(digest, content).await.unwrap();
    let told = downloads.pause(id).await.unwrap();
    assert_eq!(
        (told.state, told.done_bytes),
        (DownloadState::Paused, (1 << 20) + 5)
    );
    downloads.shutdown().await;
    let next = open(home.path(), true, &storage).await;
    assert_eq!(next.list().await.unwrap()[0].done_bytes, told.done_bytes);
    next.shutdown().await;
}
