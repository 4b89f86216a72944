//! Models that compute at the same time, and the cores.

use std::sync::Arc;

use airunner_core::Fault;
use airunner_core::generate::GenerateRequest;
use airunner_core::lifecycle::StateName;
use airunner_core::tokenize::{DetokenizeRequest, TokenizeRequest};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};

use super::paper::THREADS;
use super::tests::{World, granted, name};
use crate::workers::{Answer, Llm};

/// What a worker was told, and where its answer is expected.
type Told = (u32, oneshot::Sender<Result<u32, Fault>>);

/// Leaves to the test when it answers, and what.
struct Slow(mpsc::Sender<Told>);

impl Llm for Slow {
    fn generate(&self, _request: GenerateRequest) -> BoxFuture<'static, Result<Answer, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn tokenize(&self, _request: TokenizeRequest) -> BoxFuture<'static, Result<Vec<u32>, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn detokenize(&self, _request: DetokenizeRequest) -> BoxFuture<'static, Result<String, Fault>> {
        async { Err(Fault::internal("on paper")) }.boxed()
    }

    fn trim(&self) -> BoxFuture<'static, Result<(), Fault>> {
        async { Ok(()) }.boxed()
    }

    fn use_threads(&self, most: u32) -> BoxFuture<'static, Result<u32, Fault>> {
        let (answer, answered) = oneshot::channel();
        let told = self.0.try_send((most, answer)).is_ok();
        async move {
            assert!(told, "the test is over");
            answered
                .await
                .unwrap_or_else(|_| Err(Fault::internal("the worker is gone")))
        }
        .boxed()
    }
}

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
    worker.loads_as(Arc::new(Slow(sender))).await;
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
