//! The client against a daemon that says exactly what the test wants.

#![cfg(unix)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use airunner_core::event::Event;
use airunner_core::generate::{GenerateEvent, GenerateRequest, Input};
use airunner_core::hardware::Device;
use airunner_core::memory::{ReservationCategory, ReserveRequest};
use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_ipc_client::{Client, Update, Watch};
use airunner_proto::v1;
use tokio::sync::mpsc;

mod support;

use support::{Daemon, Script};

/// Longer than anything takes on a busy machine; reached only by a defect.
const PATIENCE: Duration = Duration::from_secs(300);

fn snapshot(sequence: u64) -> v1::WatchResponse {
    let payload = v1::watch_response::Payload::Snapshot(v1::Snapshot::default());
    v1::WatchResponse {
        sequence,
        payload: Some(payload),
    }
}

fn event(sequence: u64) -> v1::WatchResponse {
    let payload = v1::watch_response::Payload::ShuttingDown(v1::ShuttingDown { grace_ms: sequence });
    v1::WatchResponse {
        sequence,
        payload: Some(payload),
    }
}

fn watching(messages: &[&[v1::WatchResponse]]) -> Script {
    let watches = messages.iter().map(|messages| messages.to_vec()).collect();
    Script {
        watches: Arc::new(Mutex::new(watches)),
        ..Script::default()
    }
}

fn text(text: &str) -> Result<v1::GenerateResponse, Fault> {
    let delta = v1::TextDelta {
        text: text.into(),
        logprobs: Vec::new(),
    };
    Ok(v1::GenerateResponse {
        event: Some(v1::generate_response::Event::Text(delta)),
    })
}

fn request() -> GenerateRequest {
    GenerateRequest::new(ModelName::new("tiny").expect("a name"), Input::Raw("Hi".into()))
}

fn is_event(update: &Update, sequence: u64) -> bool {
    *update
        == Update::Event(Event::ShuttingDown {
            grace: Duration::from_millis(sequence),
        })
}

#[tokio::test]
async fn a_daemon_of_another_protocol_is_refused_but_can_be_stopped() {
    let daemon = Daemon::start(Script {
        protocol: Some(77),
        ..Script::default()
    });
    let fault = Client::connect(&daemon.endpoint()).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::ProtocolMismatch);
    let client = Client::connect_to_any_version(&daemon.endpoint()).await.unwrap();
    assert_eq!(client.hello().daemon_version, "9.9.9");
    client.control().shutdown(false).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_fault() {
    let daemon = Daemon::start(Script::default());
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let fault = client.control().status().await.unwrap_err();
    assert!(
        fault.kind == ErrorKind::Internal && fault.message.contains("oracle"),
        "{fault}"
    );
    let fault = client.models().list().await.unwrap_err();
    assert_eq!(
        fault.kind,
        ErrorKind::ProtocolMismatch,
        "a service that is not there: {fault}"
    );
}

#[tokio::test]
async fn an_error_in_the_middle_of_an_answer_keeps_its_kind() {
    let crash =
        Fault::new(ErrorKind::WorkerCrashed, "the worker was killed").retry_after(Duration::from_secs(2));
    let answer = vec![text("Hel"), Err(crash.clone())];
    let daemon = Daemon::start(Script {
        answer,
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(GenerateEvent::Text(delta))) if delta.text == "Hel"));
    assert_eq!(events.next().await.unwrap().unwrap_err(), crash);
    assert!(events.next().await.is_none());
    assert_eq!(client.llm().answer(request()).await.unwrap_err(), crash);
}

#[tokio::test]
async fn dropping_an_answer_cancels_it_at_the_daemon() {
    let (gone, mut was_gone) = mpsc::channel(1);
    let answer = vec![text("one"), text("two"), text("three")];
    let daemon = Daemon::start(Script {
        answer,
        reader_gone: Some(gone),
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    drop(events);
    tokio::time::timeout(PATIENCE, was_gone.recv())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_daemon_that_dies_in_the_middle_of_an_answer_is_named() {
    let answer = vec![text("one")];
    let (gone, _was_gone) = mpsc::channel(1);
    let mut daemon = Daemon::start(Script {
        answer,
        reader_gone: Some(gone),
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(events.next().await.unwrap().is_ok());
    daemon.stop();
    let fault = events.next().await.unwrap().unwrap_err();
    assert_eq!(fault.kind, ErrorKind::DaemonNotRunning, "{fault}");

    // The same client finds the daemon that comes after it.
    daemon.start_again(Script {
        answer: vec![text("two")],
        ..Script::default()
    });
    let mut events = client.llm().generate(request()).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(GenerateEvent::Text(delta))) if delta.text == "two"));
}

#[tokio::test]
async fn a_gap_costs_a_fresh_snapshot_and_is_never_skipped() {
    let daemon = Daemon::start(watching(&[
        &[snapshot(4), event(5), event(7)],
        &[snapshot(9), event(10)],
    ]));
    let mut watch = Watch::new(daemon.endpoint());
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    assert!(is_event(&watch.next().await, 5));
    assert!(
        matches!(watch.next().await, Update::Snapshot(_)),
        "and not the event that came too early"
    );
    assert!(is_event(&watch.next().await, 10));
}

#[tokio::test]
async fn a_restart_of_the_daemon_is_told_and_survived() {
    let mut daemon = Daemon::start(watching(&[&[snapshot(1)]]));
    let mut watch = Client::connect(&daemon.endpoint()).await.unwrap().watch();
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    daemon.stop();
    let update = watch.next().await;
    assert!(matches!(update, Update::Disconnected(_)), "{update:?}");
    daemon.start_again(watching(&[&[snapshot(0), event(1)]]));
    assert!(matches!(watch.next().await, Update::Snapshot(_)));
    assert!(is_event(&watch.next().await, 1));
}

fn reserving(device: Device, bytes: u64) -> ReserveRequest {
    let category = ReservationCategory::CanvasHistory;
    ReserveRequest {
        device,
        bytes,
        category,
    }
}

#[tokio::test]
async fn a_reservation_grows_is_refused_and_keeps_what_it_had() {
    let daemon = Daemon::start(Script::default());
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let refused = client.hardware().reserve(reserving(Device::Cpu, 1001)).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::OutOfMemory);

    let mut reservation = client
        .hardware()
        .reserve(reserving(Device::Cpu, 400))
        .await
        .unwrap();
    assert_eq!(reservation.set(reserving(Device::Cuda(0), 7)).await.unwrap(), 7);
    let fault = reservation.set(reserving(Device::Cpu, 1001)).await.unwrap_err();
    assert_eq!(
        (fault.kind, &*fault.figures["free_bytes"]),
        (ErrorKind::OutOfMemory, "1000")
    );
    assert_eq!(
        (reservation.bytes(Device::Cpu), reservation.bytes(Device::Cuda(0))),
        (400, 7)
    );
    assert_eq!(reservation.set(reserving(Device::Cpu, 0)).await.unwrap(), 0);
    assert_eq!(reservation.bytes(Device::Cpu), 0);
    reservation.give_back().await.unwrap();
}

#[tokio::test]
async fn dropping_a_reservation_gives_it_back() {
    let (given, mut was_given) = mpsc::channel(1);
    let daemon = Daemon::start(Script {
        given_back: Some(given),
        ..Script::default()
    });
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let reservation = client
        .hardware()
        .reserve(reserving(Device::Cpu, 400))
        .await
        .unwrap();
    assert!(was_given.try_recv().is_err());
    drop(reservation);
    tokio::time::timeout(PATIENCE, was_given.recv())
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_answer_that_was_not_waited_for_is_not_taken_for_the_next() {
    let daemon = Daemon::start(Script::default());
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut reservation = client
        .hardware()
        .reserve(reserving(Device::Cpu, 400))
        .await
        .unwrap();
    {
        let given_up = reservation.set(reserving(Device::Cpu, 500));
        tokio::pin!(given_up);
        let first_poll = std::future::poll_fn(|context| {
            std::task::Poll::Ready(given_up.as_mut().poll(context).is_pending())
        });
        assert!(
            first_poll.await,
            "the request is sent and its answer is not here yet"
        );
    }
    assert_eq!(reservation.set(reserving(Device::Cpu, 600)).await.unwrap(), 600);
}

#[tokio::test]
async fn a_reservation_ends_with_its_daemon() {
    let mut daemon = Daemon::start(Script::default());
    let client = Client::connect(&daemon.endpoint()).await.unwrap();
    let mut reservation = client
        .hardware()
        .reserve(reserving(Device::Cpu, 400))
        .await
        .unwrap();
    daemon.stop();
    let fault = reservation.set(reserving(Device::Cpu, 500)).await.unwrap_err();
    assert_eq!(fault.kind, ErrorKind::DaemonNotRunning, "{fault}");
}
