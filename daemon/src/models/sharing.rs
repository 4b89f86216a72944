//! Models that compute at the same time, and the cores.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::lifecycle::StateName;
use tokio::sync::mpsc;

use super::paper::THREADS;
use super::tests::{Silent, World, granted, name};

async fn threads(world: &World) -> [Option<u32>; 2] {
    world.models.settle().await;
    ["other", "tiny"].map(|model| {
        let model = world.models.model(&name(model)).unwrap();
        model.instance.map(|instance| instance.threads)
    })
}

#[tokio::test]
async fn two_that_compute_share_the_cores_and_one_alone_has_them_all() {
    let mut world = World::new().await;
    let (_tiny, tiny_lease) = world.holds("tiny").await;
    assert_eq!(threads(&world).await, [None, Some(THREADS)]);
    let (_other, other_lease) = world.holds("other").await;
    assert_eq!(threads(&world).await, [Some(3), Some(2)]);
    drop(tiny_lease);
    world.until("tiny", StateName::Loaded).await;
    assert_eq!(
        threads(&world).await,
        [Some(THREADS), Some(THREADS)],
        "who does nothing may begin at once"
    );
    drop(other_lease);
    world.until("other", StateName::Loaded).await;
    assert_eq!(threads(&world).await, [Some(THREADS), Some(THREADS)]);
}

#[tokio::test]
async fn a_worker_is_told_one_thing_at_a_time_and_the_last_word_is_the_last() {
    let mut world = World::new().await;
    let (sender, mut told) = mpsc::channel(8);
    let mut waiting = world.wants("tiny").await;
    world.until("tiny", StateName::Loading).await;
    let worker = world.started().unwrap();
    worker.loads_as(Arc::new(Silent(Some(sender)))).await;
    let lease = granted(&mut waiting).await.unwrap();
    let (most, answer) = told.recv().await.unwrap();
    assert_eq!(most, THREADS);
    assert_eq!(threads(&world).await, [None, Some(0)], "it has not answered");

    let (_other, other_lease) = world.holds("other").await;
    world.models.settle().await;
    assert!(told.try_recv().is_err(), "the first answer is awaited");
    answer.send(Ok(4)).unwrap();
    let (most, answer) = told.recv().await.unwrap();
    assert_eq!(most, 2);
    assert_eq!(threads(&world).await, [Some(3), Some(4)], "as it said itself");

    // By then the other one has finished: what was under way is out of date.
    drop(other_lease);
    world.until("other", StateName::Loaded).await;
    answer.send(Ok(2)).unwrap();
    let (most, answer) = told.recv().await.unwrap();
    assert_eq!(most, THREADS);
    answer.send(Err(Fault::internal("it cannot"))).unwrap();
    assert_eq!(threads(&world).await, [Some(THREADS), Some(2)]);
    world.models.settle().await;
    assert!(told.try_recv().is_err(), "it is not asked again and again");
    drop(lease);
}
