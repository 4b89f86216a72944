use std::time::Duration;

use airunner_core::ModelName;
use airunner_core::usage::UsageEvent;
use tokio::task::JoinHandle;

use super::*;
use crate::storage::{FILE_NAME, Storage};

struct Place {
    directory: tempfile::TempDir,
    storage: Storage,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(&directory.path().join(FILE_NAME)).unwrap();
        Self { directory, storage }
    }

    fn start(&self) -> (Usage, JoinHandle<()>) {
        let (usage, actor) = Usage::new(self.storage.clone());
        (usage, tokio::spawn(actor.run()))
    }

    /// What is in the database, without asking the actor for anything.
    async fn written(&self) -> u64 {
        let all = self.storage.usage(std::time::UNIX_EPOCH).await.unwrap();
        all.iter().map(|usage| usage.requests).sum()
    }
}

fn name(text: &str) -> ModelName {
    ModelName::new(text).unwrap()
}

fn answered(model: &str) -> UsageEvent {
    UsageEvent::Answered {
        model: name(model),
        prompt_tokens: 1,
        completion_tokens: 2,
        busy: Duration::from_millis(3),
        failed: false,
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_written_together_a_second_later() {
    let place = Place::new();
    let (usage, _actor) = place.start();
    for _ in 0..10_000 {
        usage.note(&answered("tiny"));
    }
    while place.written().await == 0 {
        tokio::time::advance(Duration::from_millis(100)).await;
    }
    assert_eq!(place.written().await, 10_000, "in one write");
}

#[tokio::test]
async fn what_is_asked_for_counts_everything_noted_before() {
    let place = Place::new();
    let (usage, _actor) = place.start();
    usage.note(&answered("tiny"));
    usage.note(&answered("tiny"));
    usage.note(&answered("big"));
    let summary = usage.summary(Some(Duration::from_secs(60))).await.unwrap();
    assert_eq!(summary.iter().map(|usage| usage.requests).sum::<u64>(), 3);
    usage.note(&answered("big"));
    usage.note(&answered("big"));
    assert_eq!(usage.most_used(1, None).await.unwrap(), [name("big")]);
    usage.note(&answered("big"));
    usage.forget(name("big")).await.unwrap();
    assert_eq!(usage.most_used(9, None).await.unwrap(), [name("tiny")]);
}

#[tokio::test]
async fn the_end_writes_what_is_left() {
    let place = Place::new();
    let (usage, actor) = place.start();
    usage.note(&answered("tiny"));
    usage.end().await;
    actor.await.unwrap();
    assert_eq!(place.written().await, 1);
    usage.flush().await;
    assert_eq!(
        usage.summary(None).await.unwrap().len(),
        1,
        "it can be asked after that"
    );

    let (usage, actor) = place.start();
    usage.note(&answered("tiny"));
    drop(usage);
    actor.await.unwrap();
    assert_eq!(place.written().await, 2, "the last handle is the end as well");
}

#[tokio::test(start_paused = true)]
async fn a_database_that_refuses_for_a_while_loses_nothing() {
    let place = Place::new();
    let (usage, _actor) = place.start();
    let rename = |from: &'static str, to: &'static str| {
        place
            .storage
            .call(move |connection| connection.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")))
    };
    rename("usage_models", "aside").await.unwrap();
    usage.note(&answered("tiny"));
    usage.flush().await;
    usage.note(&answered("tiny"));
    usage.flush().await;
    let rows = |connection: &mut rusqlite::Connection| {
        connection.query_row("SELECT count(*) FROM usage_days", [], |row| row.get(0))
    };
    let half_written: i64 = place.storage.call(rows).await.unwrap();
    assert_eq!(half_written, 0);
    rename("aside", "usage_models").await.unwrap();
    while place.written().await == 0 {
        tokio::time::advance(Duration::from_secs(10)).await;
    }
    assert_eq!(place.written().await, 2);
    drop(place.directory);
}
