//! Models that share a memory too small for all of them.

use std::time::Duration;

use airunner_core::hardware::{Device, ProcessMemory};
use airunner_core::lifecycle::{StateName, UnloadReason};
use airunner_core::memory::{Budget, BudgetChange, DeviceClass, EstimateRequest, FreeRequest};
use airunner_core::model::{LoadRequest, Queued};
use airunner_core::{ErrorKind, Fault, KeepAlive};

use super::tests::{Paper, World, access, granted, name, refusal};
use super::{Access, Acquisition, Turn};
use crate::workers::News;

const GIB: u64 = 1 << 30;

/// Two models of six gibibytes each, and ten for both.
async fn cramped() -> World {
    let world = World::with_budget(Budget::Bytes(10 * GIB)).await;
    for model in ["tiny", "other"] {
        world.paperwork.sizes.lock().unwrap().insert(name(model), 6 * GIB);
    }
    world
}

async fn queued(waiting: &mut Acquisition) -> Queued {
    loop {
        if let Turn::Queued(queued) = waiting.turn().await.unwrap() {
            return queued;
        }
    }
}

async fn loads_next(world: &mut World, model: &str, waiting: &mut Acquisition) -> Paper {
    world.until(model, StateName::Loading).await;
    let worker = world.started().unwrap();
    worker.loads().await;
    drop(granted(waiting).await.unwrap());
    worker
}

#[tokio::test]
async fn an_idle_model_goes_for_one_that_is_wanted() {
    let mut world = cramped().await;
    let (tiny, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let mut waiting = world.wants("other").await;
    tiny.stops().await;
    loads_next(&mut world, "other", &mut waiting).await;
    let gone = world.models.model(&name("tiny")).unwrap();
    assert_eq!(
        gone.last_unload_reason,
        Some(UnloadReason::EvictedFor(name("other")))
    );
}

#[tokio::test]
async fn who_waits_for_a_busy_model_to_end_is_told_so_and_comes_next() {
    let mut world = cramped().await;
    let (tiny, lease) = world.holds("tiny").await;
    let mut waiting = world.wants("other").await;
    let told = queued(&mut waiting).await;
    assert_eq!(told.position, 0);
    assert!(told.reason.contains("tiny"), "{}", told.reason);
    assert_eq!(world.models.model(&name("other")).unwrap().waiting_requests, 1);
    drop(lease);
    tiny.stops().await;
    loads_next(&mut world, "other", &mut waiting).await;
}

#[tokio::test]
async fn a_pinned_model_stays_and_the_refusal_has_the_figures() {
    let mut world = cramped().await;
    let pinned = LoadRequest {
        pinned: Some(true),
        ..LoadRequest::new(name("tiny"))
    };
    let mut waiting = world.models.load(pinned).await.unwrap();
    loads_next(&mut world, "tiny", &mut waiting).await;
    assert!(
        world
            .models
            .model(&name("tiny"))
            .unwrap()
            .instance
            .unwrap()
            .pinned
    );
    let mut other = world.wants("other").await;
    let Err(fault) = granted(&mut other).await else {
        panic!("there is no room for it");
    };
    assert_eq!(fault.kind, ErrorKind::OutOfMemory);
    assert_eq!(fault.figures["required_bytes"], (6 * GIB).to_string());
    assert_eq!(fault.figures["available_bytes"], (4 * GIB).to_string());
    assert_eq!(fault.figures["pinned_models"], "tiny");
    assert_eq!(
        world.models.model(&name("tiny")).unwrap().state,
        StateName::Loaded
    );
}

#[tokio::test]
async fn who_comes_while_a_model_leaves_gets_the_next_load() {
    let mut world = World::new().await;
    let (worker, lease) = world.holds("tiny").await;
    let models = world.models.clone();
    let unload = tokio::spawn(async move { models.unload(name("tiny"), false).await });
    drop(lease);
    world.until("tiny", StateName::Unloading).await;
    let mut waiting = world.wants("tiny").await;
    worker.stops().await;
    assert!(unload.await.unwrap().unwrap());
    loads_next(&mut world, "tiny", &mut waiting).await;
}

#[tokio::test]
async fn a_model_is_loaded_anew_as_it_is_and_serves_who_came_meanwhile() {
    let mut world = World::new().await;
    let request = LoadRequest {
        pinned: Some(true),
        context_length: Some(64),
        keep_alive: Some(KeepAlive::Forever),
        ..LoadRequest::new(name("tiny"))
    };
    let mut waiting = world.models.load(request).await.unwrap();
    let worker = loads_next(&mut world, "tiny", &mut waiting).await;
    world.until("tiny", StateName::Loaded).await;
    let models = world.models.clone();
    let renewal = tokio::spawn(async move { models.renew(&name("tiny"), 4711).await });
    world.until("tiny", StateName::Unloading).await;
    let mut meanwhile = world.wants("tiny").await;
    worker.stops().await;
    loads_next(&mut world, "tiny", &mut meanwhile).await;
    renewal.await.unwrap().unwrap();
    assert!(world.started().is_none(), "both were served by one load");
    world.until("tiny", StateName::Loaded).await;
    let model = world.models.model(&name("tiny")).unwrap();
    assert_eq!(model.last_unload_reason, Some(UnloadReason::Reloaded));
    let instance = model.instance.unwrap();
    assert_eq!(
        (instance.pinned, instance.loaded_for.as_str(), instance.expires_at),
        (true, "requested", None)
    );
}

#[tokio::test]
async fn a_model_that_somebody_uses_or_waits_beside_is_not_loaded_anew() {
    let mut world = cramped().await;
    let (_tiny, lease) = world.holds("tiny").await;
    let renewed = |pid| {
        let models = world.models.clone();
        async move { models.renew(&name("tiny"), pid).await.unwrap_err().kind }
    };
    assert_eq!(renewed(4711).await, ErrorKind::Busy);
    let waiting = world.wants("other").await;
    assert_eq!(renewed(4711).await, ErrorKind::Busy);
    drop((waiting, lease));
    world.models.settle().await;
    assert_eq!(renewed(1).await, ErrorKind::Busy, "another process");
    assert!(world.started().is_none());
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let mut world = cramped().await;
    let (_tiny, _lease) = world.holds("tiny").await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(world.wants("other").await);
    }
    let mut too_many = world.wants("other").await;
    assert_eq!(refusal(granted(&mut too_many).await), ErrorKind::QueueFull);
    drop(waiting.pop());
    // Its leaving is seen before what is asked afterwards.
    let mut waits = world.wants("other").await;
    assert_eq!(queued(&mut waits).await.position, 19);
}

#[tokio::test(start_paused = true)]
async fn who_has_waited_as_long_as_it_said_is_refused() {
    let mut world = cramped().await;
    let (_tiny, _lease) = world.holds("tiny").await;
    let impatient = Access {
        max_wait: Some(Duration::from_secs(3)),
        ..access("other")
    };
    let mut waiting = world.models.acquire(impatient).await.unwrap();
    assert_eq!(refusal(granted(&mut waiting).await), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn a_load_that_dies_of_memory_is_tried_once_more_with_more_room() {
    let mut world = World::with_budget(Budget::Bytes(10 * GIB)).await;
    world
        .paperwork
        .sizes
        .lock()
        .unwrap()
        .insert(name("tiny"), 4 * GIB);
    let mut waiting = world.wants("tiny").await;
    for attempt in 0..2 {
        world.until("tiny", StateName::Loading).await;
        let estimated = world
            .models
            .model(&name("tiny"))
            .unwrap()
            .instance
            .unwrap()
            .estimated_bytes;
        assert_eq!(estimated, if attempt == 0 { 4 * GIB } else { 5 * GIB });
        let worker = world.started().unwrap();
        let fault = Fault::new(ErrorKind::OutOfMemory, "there was too little memory");
        worker
            .reports(News::LoadFailed {
                fault,
                crashed: false,
            })
            .await;
        world.until("tiny", StateName::Unloaded).await;
    }
    assert_eq!(refusal(granted(&mut waiting).await), ErrorKind::OutOfMemory);
    assert!(world.started().is_none(), "only once more");
}

#[tokio::test]
async fn a_worker_that_the_system_kills_while_it_loads_died_of_memory() {
    let mut world = World::new().await;
    let mut waiting = world.wants("tiny").await;
    world.until("tiny", StateName::Loading).await;
    let killed = Fault::new(ErrorKind::WorkerCrashed, "it was killed").figure("signal", 9);
    world.started().unwrap().reports(News::Exited(killed)).await;
    world.until("tiny", StateName::Unloaded).await;
    loads_next(&mut world, "tiny", &mut waiting).await;
}

#[tokio::test]
async fn reservations_make_room_are_bounded_and_are_given_back() {
    let mut world = cramped().await;
    let (tiny, lease) = world.holds("tiny").await;
    let refused = world.models.reserve(Device::Cpu, 5 * GIB).await;
    assert_eq!(
        refused.err().unwrap().kind,
        ErrorKind::OutOfMemory,
        "it is in use"
    );
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let none = world.models.try_reserve(Device::Cpu, 5 * GIB).await;
    assert_eq!(
        none.err().unwrap().kind,
        ErrorKind::OutOfMemory,
        "nothing goes for it"
    );
    let reservation = world.models.reserve(Device::Cpu, 5 * GIB).await.unwrap();
    tiny.stops().await;
    world.until("tiny", StateName::Unloaded).await;
    assert_eq!(world.models.memory()[0].canvas_history_bytes, 5 * GIB);
    assert!(reservation.resize(11 * GIB).await.is_err());
    reservation.resize(GIB).await.unwrap();
    assert_eq!(world.models.memory()[0].canvas_history_bytes, GIB);
    drop(reservation);
    world.models.settle().await;
    assert_eq!(world.models.memory()[0].canvas_history_bytes, 0);
}

#[tokio::test]
async fn free_returns_when_everything_idle_is_gone() {
    let mut world = World::new().await;
    let (tiny, lease) = world.holds("tiny").await;
    drop(lease);
    let (_other, _busy) = world.holds("other").await;
    let models = world.models.clone();
    let free = tokio::spawn(async move { models.free(FreeRequest::default()).await });
    tiny.stops().await;
    let freed = free.await.unwrap().unwrap();
    assert_eq!((freed.unloaded, freed.freed_bytes), (vec![name("tiny")], GIB));
    assert_eq!(world.models.model(&name("other")).unwrap().state, StateName::Busy);
}

#[tokio::test]
async fn a_changed_budget_counts_at_once() {
    let world = cramped().await;
    let request = || EstimateRequest {
        name: name("tiny"),
        context_length: None,
        level: None,
    };
    assert!(world.models.estimate(request()).await.unwrap().fits);
    let change = BudgetChange {
        device: DeviceClass::Cpu,
        budget: Budget::Bytes(0),
    };
    let memory = world.models.set_budget(change).await.unwrap();
    assert_eq!((memory[0].budget_bytes, memory[0].free_bytes), (0, 0));
    let estimate = world.models.estimate(request()).await.unwrap();
    assert!(
        !estimate.fits && estimate.refusal.contains("6.0 GiB"),
        "{estimate:?}"
    );
    let mut waiting = world.wants("tiny").await;
    assert_eq!(refusal(granted(&mut waiting).await), ErrorKind::OutOfMemory);
}

#[tokio::test]
async fn an_estimate_names_what_would_go() {
    let mut world = cramped().await;
    let (_tiny, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let request = EstimateRequest {
        name: name("other"),
        context_length: None,
        level: None,
    };
    let estimate = world.models.estimate(request).await.unwrap();
    assert_eq!((estimate.fits, estimate.would_unload), (true, vec![name("tiny")]));
    assert_eq!(
        world.models.model(&name("tiny")).unwrap().state,
        StateName::Loaded
    );
}

#[tokio::test]
async fn what_a_worker_took_is_remembered_when_it_is_gone() {
    let mut world = World::new().await;
    let (tiny, lease) = world.holds("tiny").await;
    let memory = ProcessMemory {
        resident_bytes: GIB,
        private_bytes: GIB,
        peak_bytes: 3 * GIB,
    };
    tiny.reports(News::Memory(memory)).await;
    drop(lease);
    let models = world.models.clone();
    let unload = tokio::spawn(async move { models.unload(name("tiny"), false).await });
    tiny.stops().await;
    assert!(unload.await.unwrap().unwrap());
    let learned = world.paperwork.learned.lock().unwrap().clone();
    assert_eq!(learned.last().unwrap().1.peak_bytes, 3 * GIB);
    let request = EstimateRequest {
        name: name("tiny"),
        context_length: None,
        level: None,
    };
    let estimate = world.models.estimate(request).await.unwrap();
    assert_eq!(
        (estimate.learned_bytes, estimate.total_bytes),
        (Some(3 * GIB), 3 * GIB)
    );
}

#[tokio::test]
async fn a_preload_makes_nothing_go() {
    let mut world = cramped().await;
    let (_tiny, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let refused = world.models.preload(LoadRequest::new(name("other"))).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::OutOfMemory);
    assert_eq!(
        world.models.model(&name("tiny")).unwrap().state,
        StateName::Loaded
    );
}

#[tokio::test]
async fn a_lowered_budget_makes_idle_models_go() {
    let mut world = cramped().await;
    let (tiny, lease) = world.holds("tiny").await;
    let change = BudgetChange {
        device: DeviceClass::Cpu,
        budget: Budget::Bytes(0),
    };
    world.models.set_budget(change).await.unwrap();
    let state = world.models.model(&name("tiny")).unwrap().state;
    assert_eq!(state, StateName::Busy, "what is in use stays");
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    world.models.set_budget(change).await.unwrap();
    tiny.stops().await;
    world.until("tiny", StateName::Unloaded).await;
    let gone = world.models.model(&name("tiny")).unwrap();
    assert_eq!(gone.last_unload_reason, Some(UnloadReason::MemoryPressure));
}

#[tokio::test]
async fn a_model_that_takes_more_than_was_set_aside_displaces_idle_ones_and_not_itself() {
    let mut world = World::with_budget(Budget::Bytes(10 * GIB)).await;
    let (tiny, lease) = world.holds("tiny").await;
    drop(lease);
    world.until("tiny", StateName::Loaded).await;
    let (other, lease) = world.holds("other").await;
    drop(lease);
    world.until("other", StateName::Loaded).await;
    let memory = ProcessMemory {
        resident_bytes: 12 * GIB,
        private_bytes: 12 * GIB,
        peak_bytes: 12 * GIB,
    };
    other.reports(News::Memory(memory)).await;
    tiny.stops().await;
    world.until("tiny", StateName::Unloaded).await;
    other.reports(News::Memory(memory)).await;
    world.models.settle().await;
    assert_eq!(
        world.models.model(&name("other")).unwrap().state,
        StateName::Loaded
    );
}
