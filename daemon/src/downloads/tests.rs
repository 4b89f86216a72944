//! The actor with a daemon that fails around it.

use std::sync::Arc;

use airunner_core::catalog::CatalogEntry;
use airunner_core::download::DownloadState;
use airunner_core::download::{PullEvent, PullRequest};
use airunner_core::model::Model;
use airunner_core::{ErrorKind, Fault};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;

use crate::downloads::choose::Ceiling;
use crate::downloads::handle::{DownloadOptions, Downloads};
use crate::downloads::hub::HubOptions;
use crate::downloads::library::{Library, Names};
use crate::models::{Installed, Store};
use crate::storage::Storage;

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

#[tokio::test]
async fn a_run_that_panics_has_failed_and_can_be_cancelled() {
    let home = tempfile::tempdir().unwrap();
    let options = DownloadOptions {
        hub: HubOptions {
            endpoint: "https://hub.invalid".to_owned(),
            token: None,
            allow_private_addresses: false,
            offline: false,
        },
        directory: home.path().join("downloads"),
        hub_cache: None,
        connections: 1,
        bandwidth: None,
    };
    let storage = Storage::open(&home.path().join("test.db")).unwrap();
    let (publisher, _hub) = crate::events::hub();
    let (downloads, actor) = Downloads::open(options, storage, Arc::new(Broken), Arc::new(Broken), publisher)
        .await
        .unwrap();
    tokio::spawn(actor.run());
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
