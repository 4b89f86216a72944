//! The daemon's state and what it tells, for property tests.

use airunner_core::activity::{Activity, ActivityId, ActivityKind};
use airunner_core::event::{Event, Snapshot, WatchMessage, WatchPayload};
use airunner_core::lifecycle::{Cause, StateName};
use airunner_core::pause::{Pause, PauseRequest, Paused};
use airunner_core::status::{DaemonStatus, HttpStatus};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{
    breakdown, download, duration, model, moment, name, notification, some_text, text, unload_reason,
};

pub(in crate::convert) fn pause() -> impl Strategy<Value = Pause> {
    (moment(), option::of(moment())).prop_map(|(since, until)| Pause { since, until })
}

fn activity() -> impl Strategy<Value = Activity> {
    let parts = (
        any::<u64>(),
        select(&ActivityKind::ALL),
        name(),
        0.0..1.0,
        any::<bool>(),
    );
    parts.prop_map(|(id, kind, model, fraction, is_waiting)| Activity {
        id: ActivityId(id),
        kind,
        model,
        fraction,
        is_waiting,
    })
}

pub(in crate::convert) fn pause_request() -> impl Strategy<Value = PauseRequest> {
    let length = (1000..1_u64 << 34).prop_map(std::time::Duration::from_millis);
    (option::of(length), any::<bool>()).prop_map(|(length, force)| PauseRequest { length, force })
}

pub(in crate::convert) fn paused() -> impl Strategy<Value = Paused> {
    (pause(), vec(name(), 0..3), any::<u64>(), vec(name(), 0..3)).prop_map(
        |(pause, unloaded, freed_bytes, finishing)| Paused {
            pause,
            unloaded,
            freed_bytes,
            finishing,
        },
    )
}

fn http_status() -> impl Strategy<Value = HttpStatus> {
    (vec(text(), 0..3), any::<bool>(), some_text()).prop_map(|(urls, open, problem)| HttpStatus {
        urls,
        open,
        problem,
    })
}

pub(in crate::convert) fn status() -> impl Strategy<Value = DaemonStatus> {
    (
        any::<(u32, u32, u64, bool)>(),
        text(),
        text(),
        duration(),
        vec(model(), 0..3),
        (some_text(), some_text()),
        (http_status(), option::of(pause()), vec(activity(), 0..3)),
    )
        .prop_map(
            |(
                (pid, protocol_version, memory_bytes, shutting_down),
                daemon_version,
                socket,
                uptime,
                models,
                (onnxruntime_library, traces),
                (http, paused, activities),
            )| DaemonStatus {
                pid,
                daemon_version,
                protocol_version,
                socket,
                uptime,
                memory_bytes,
                models,
                shutting_down,
                onnxruntime_library,
                http,
                traces,
                paused,
                activities,
            },
        )
}

pub(in crate::convert) fn watch_message() -> impl Strategy<Value = WatchMessage> {
    let cause = prop_oneof![select(&Cause::PLAIN), unload_reason().prop_map(Cause::Unload),];
    let changed =
        (model(), select(&StateName::ALL), cause, text()).prop_map(|(model, from, cause, message)| {
            Event::ModelChanged {
                model: Box::new(model),
                from,
                cause,
                message,
            }
        });
    let event = prop_oneof![
        changed,
        name().prop_map(Event::ModelRemoved),
        vec(breakdown(), 0..3).prop_map(Event::MemoryChanged),
        download().prop_map(|download| Event::DownloadChanged(Box::new(download))),
        activity().prop_map(|activity| Event::ActivityChanged(Box::new(activity))),
        any::<u64>().prop_map(|id| Event::ActivityEnded(ActivityId(id))),
        notification().prop_map(|notification| Event::NotificationChanged(Box::new(notification))),
        option::of(pause()).prop_map(Event::PauseChanged),
        http_status().prop_map(Event::HttpChanged),
        duration().prop_map(|grace| Event::ShuttingDown { grace }),
    ];
    let snapshot = (
        vec(model(), 0..3),
        vec(breakdown(), 0..3),
        vec(download(), 0..3),
        vec(activity(), 0..3),
        vec(notification(), 0..3),
        option::of(pause()),
        http_status(),
    )
        .prop_map(
            |(models, memory, downloads, activities, notifications, paused, http)| Snapshot {
                models,
                memory,
                downloads,
                activities,
                notifications,
                paused,
                http,
            },
        );
    let payload = prop_oneof![
        snapshot.prop_map(WatchPayload::Snapshot),
        event.prop_map(WatchPayload::Event),
    ];
    (any::<u64>(), payload).prop_map(|(sequence, payload)| WatchMessage { sequence, payload })
}
