use airunner_core::activity::{ActivityId, ActivityKind};
use airunner_core::event::{Event, WatchPayload};
use airunner_core::quantize::{QuantizeEvent, QuantizeProgress, QuantizeStage};
use airunner_core::{ErrorKind, Fault, ModelName};
use tokio::sync::mpsc;

use super::*;
use crate::events::{self, Hub};

type Told = mpsc::Sender<Result<QuantizeEvent, Fault>>;
type Passed = mpsc::Receiver<Result<QuantizeEvent, Fault>>;

fn begun() -> (Activities, Hub, Told, Passed) {
    let (publisher, hub) = events::hub();
    let activities = Activities::new(publisher, hub.clone());
    let (told, events) = mpsc::channel(4);
    let model = ModelName::new("tiny").unwrap();
    let passed = activities.track(ActivityKind::Quantize, model, events);
    (activities, hub, told, passed)
}

fn progress(fraction: f64) -> Result<QuantizeEvent, Fault> {
    let stage = QuantizeStage::Checking;
    Ok(QuantizeEvent::Progress(QuantizeProgress { stage, fraction }))
}

/// Goes on until a picture or an event tells it.
async fn until(hub: &Hub, wanted: impl Fn(&WatchPayload) -> bool) {
    let mut watch = hub.watch();
    while !wanted(&watch.next().await.unwrap().payload) {}
}

fn gone(payload: &WatchPayload) -> bool {
    match payload {
        WatchPayload::Snapshot(snapshot) => snapshot.activities.is_empty(),
        WatchPayload::Event(event) => matches!(event, Event::ActivityEnded(_)),
    }
}

#[tokio::test]
async fn work_is_shown_from_its_beginning_by_whole_percents_to_its_end() {
    let (_activities, hub, told, mut passed) = begun();
    let mut watch = hub.watch();
    let shown = hub.activities();
    assert_eq!(shown.len(), 1);
    assert_eq!(
        (shown[0].id, shown[0].kind),
        (ActivityId(1), ActivityKind::Quantize)
    );
    assert!(shown[0].is_waiting, "nothing has been told yet");
    watch.next().await.unwrap();
    let stage = QuantizeStage::Waiting;
    let waits = QuantizeEvent::Progress(QuantizeProgress { stage, fraction: 0.0 });
    let steps = [0.0, 0.101, 0.102, 0.05, 0.43].map(progress);
    for step in std::iter::once(Ok(waits)).chain(steps) {
        told.send(step).await.unwrap();
        passed.recv().await.unwrap().unwrap();
    }
    told.send(Err(Fault::internal("it broke"))).await.unwrap();
    assert!(passed.recv().await.unwrap().is_err());
    assert!(passed.recv().await.is_none());
    let mut seen = Vec::new();
    loop {
        let WatchPayload::Event(event) = watch.next().await.unwrap().payload else {
            panic!("nobody fell behind")
        };
        if let Event::ActivityChanged(activity) = &event {
            seen.push((activity.percent(), activity.is_waiting));
        } else {
            assert_eq!(event, Event::ActivityEnded(shown[0].id));
            break;
        }
    }
    assert_eq!(seen, [(0, false), (10, false), (43, false)]);
    assert!(hub.activities().is_empty());
}

#[tokio::test]
async fn one_that_is_given_up_ends_for_whoever_does_it_and_whoever_waits() {
    let (activities, hub, told, mut passed) = begun();
    let id = hub.activities()[0].id;
    activities.cancel(id).unwrap();
    let ended = passed.recv().await.unwrap().unwrap_err();
    assert_eq!(ended.kind, ErrorKind::Cancelled);
    assert_eq!(ended.message, "quantizing tiny was given up");
    told.closed().await;
    assert!(hub.activities().is_empty());
    assert_eq!(activities.cancel(id).unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn nobody_who_waits_is_an_end_as_well_and_so_is_work_that_vanishes() {
    let (_activities, hub, told, passed) = begun();
    drop(passed);
    told.closed().await;
    until(&hub, gone).await;

    let (_activities, hub, told, mut passed) = begun();
    drop(told);
    assert!(passed.recv().await.is_none());
    until(&hub, gone).await;
}
