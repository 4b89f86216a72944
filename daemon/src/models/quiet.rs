//! A program that is paused and resumed.

use std::time::{Duration, SystemTime};

use airunner_core::ErrorKind;
use airunner_core::lifecycle::{StateName, UnloadReason};
use airunner_core::memory::{PermissionReason, PermissionRequest};
use airunner_core::model::ModelKind;
use airunner_core::pause::Pause;

use super::tests::{World, granted, name, refusal};

fn open_end() -> Pause {
    Pause::begin(None, SystemTime::now())
}

#[tokio::test]
async fn what_is_idle_goes_what_is_busy_finishes_and_who_comes_is_refused() {
    let mut world = World::new().await;
    let (tiny, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let (other, lease) = world.holds("other").await;
    let quieting = world.models.pause(open_end(), false).await.unwrap();
    assert_eq!(world.models.paused().map(|pause| pause.until), Some(None));
    let (paused, _) = tokio::join!(quieting.settled(), tiny.stops());
    assert_eq!(paused.unloaded, [name("tiny")]);
    assert_eq!(paused.finishing, [name("other")]);
    let gone = world.models.model(&name("tiny")).unwrap();
    assert_eq!(gone.last_unload_reason, Some(UnloadReason::Paused));

    assert_eq!(refused(&world, "tiny").await, ErrorKind::Paused);
    assert_eq!(refused(&world, "other").await, ErrorKind::Paused);
    let asked = PermissionRequest {
        kind: ModelKind::Llm,
        model: Some(name("tiny")),
    };
    let permission = world.models.can_perform(asked).await.unwrap();
    assert_eq!(
        (permission.can_perform, permission.reason),
        (false, PermissionReason::Paused)
    );

    drop(lease);
    other.stops().await;
    world.until("other", StateName::Unloaded).await;
    assert!(world.models.resume().await.unwrap());
    assert!(
        !world.models.resume().await.unwrap(),
        "there is no pause any more"
    );
    assert_eq!(world.models.paused(), None);
    drop(world.holds("tiny").await);
}

#[tokio::test]
async fn a_load_under_way_ends_and_its_caller_is_told_why() {
    let mut world = World::new().await;
    let mut waiting = world.wants("tiny").await;
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    let quieting = world.models.pause(open_end(), false).await.unwrap();
    assert_eq!(refusal(granted(&mut waiting).await), ErrorKind::Paused);
    let (paused, _) = tokio::join!(quieting.settled(), worker.stops());
    assert_eq!(paused.unloaded, [name("tiny")]);
}

#[tokio::test]
async fn with_force_nothing_finishes() {
    let mut world = World::new().await;
    let (tiny, mut lease) = world.holds("tiny").await;
    let quieting = world.models.pause(open_end(), true).await.unwrap();
    assert_eq!(lease.cancelled().await.kind, ErrorKind::Paused);
    let (paused, _) = tokio::join!(quieting.settled(), tiny.stops());
    assert_eq!(
        (paused.unloaded, paused.finishing),
        (vec![name("tiny")], Vec::new())
    );
}

#[tokio::test]
async fn who_resumes_before_an_answer_is_complete_keeps_the_model() {
    let mut world = World::new().await;
    let (_tiny, lease) = world.holds("tiny").await;
    world.models.pause(open_end(), false).await.unwrap();
    world.models.resume().await.unwrap();
    let mut waiting = world.wants("tiny").await;
    drop(granted(&mut waiting).await.unwrap());
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
}

#[tokio::test]
async fn a_pause_whose_time_is_over_refuses_nobody() {
    let mut world = World::new().await;
    let since = SystemTime::now() - Duration::from_secs(60);
    let over = Pause {
        since,
        until: Some(since + Duration::from_secs(1)),
    };
    world.models.pause(over, false).await.unwrap();
    drop(world.holds("tiny").await);
}

async fn refused(world: &World, model: &str) -> ErrorKind {
    refusal(granted(&mut world.wants(model).await).await)
}
