//! The daemon itself: hello, status, watch.

use std::time::Duration;

use airunner_core::activity::{Activity, ActivityId, ActivityKind};
use airunner_core::event::{Event, Snapshot, WatchMessage, WatchPayload};
use airunner_core::lifecycle::Cause;
use airunner_core::pause::{Pause, PauseRequest, Paused};
use airunner_core::status::{DaemonStatus, Hello, HttpStatus};
use airunner_core::{Fault, ModelName};

use super::common::{epoch_millis, millis, models, moment, named, state};
use super::downloads::downloads;
use super::memory::breakdowns;
use super::notifications::notifications;
use super::wire::{answered, known, non_empty};
use crate::v1;

impl From<Hello> for v1::HelloResponse {
    fn from(hello: Hello) -> Self {
        Self {
            protocol_version: hello.protocol_version,
            daemon_version: hello.daemon_version,
            pid: hello.pid,
        }
    }
}

impl From<v1::HelloResponse> for Hello {
    fn from(wire: v1::HelloResponse) -> Self {
        Self {
            protocol_version: wire.protocol_version,
            daemon_version: wire.daemon_version,
            pid: wire.pid,
        }
    }
}

impl From<DaemonStatus> for v1::StatusResponse {
    fn from(status: DaemonStatus) -> Self {
        Self {
            pid: status.pid,
            daemon_version: status.daemon_version,
            protocol_version: status.protocol_version,
            socket: status.socket,
            uptime_ms: millis(status.uptime),
            memory_bytes: status.memory_bytes,
            models: status.models.into_iter().map(Into::into).collect(),
            shutting_down: status.shutting_down,
            onnxruntime_library: status.onnxruntime_library.unwrap_or_default(),
            http: Some(status.http.into()),
            traces: status.traces.unwrap_or_default(),
            paused: status.paused.map(Into::into),
            activities: status.activities.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::StatusResponse> for DaemonStatus {
    type Error = Fault;

    fn try_from(wire: v1::StatusResponse) -> Result<Self, Fault> {
        Ok(Self {
            pid: wire.pid,
            daemon_version: wire.daemon_version,
            protocol_version: wire.protocol_version,
            socket: wire.socket,
            uptime: Duration::from_millis(wire.uptime_ms),
            memory_bytes: wire.memory_bytes,
            models: models(wire.models)?,
            shutting_down: wire.shutting_down,
            onnxruntime_library: non_empty(wire.onnxruntime_library),
            http: wire.http.unwrap_or_default().into(),
            traces: non_empty(wire.traces),
            paused: wire.paused.map(TryInto::try_into).transpose()?,
            activities: activities(wire.activities)?,
        })
    }
}

fn activities(wire: Vec<v1::Activity>) -> Result<Vec<Activity>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}

impl From<Activity> for v1::Activity {
    fn from(activity: Activity) -> Self {
        Self {
            id: activity.id.0,
            kind: activity.kind.as_str().to_owned(),
            model: activity.model.to_string(),
            fraction: activity.fraction,
            waiting: activity.is_waiting,
        }
    }
}

impl TryFrom<v1::Activity> for Activity {
    type Error = Fault;

    fn try_from(wire: v1::Activity) -> Result<Self, Fault> {
        Ok(Self {
            id: ActivityId(wire.id),
            kind: known(ActivityKind::parse(&wire.kind), "activity.kind", &wire.kind)?,
            model: named(&wire.model, "activity.model")?,
            fraction: wire.fraction,
            is_waiting: wire.waiting,
        })
    }
}

impl From<HttpStatus> for v1::HttpStatus {
    fn from(status: HttpStatus) -> Self {
        Self {
            urls: status.urls,
            open: status.open,
            problem: status.problem.unwrap_or_default(),
        }
    }
}

impl From<v1::HttpStatus> for HttpStatus {
    fn from(wire: v1::HttpStatus) -> Self {
        Self {
            urls: wire.urls,
            open: wire.open,
            problem: non_empty(wire.problem),
        }
    }
}

impl From<WatchMessage> for v1::WatchResponse {
    fn from(message: WatchMessage) -> Self {
        use v1::watch_response::Payload;
        let payload = match message.payload {
            WatchPayload::Snapshot(snapshot) => Payload::Snapshot(snapshot.into()),
            WatchPayload::Event(event) => event.into(),
        };
        Self {
            sequence: message.sequence,
            payload: Some(payload),
        }
    }
}

impl TryFrom<v1::WatchResponse> for WatchMessage {
    type Error = Fault;

    fn try_from(wire: v1::WatchResponse) -> Result<Self, Fault> {
        use v1::watch_response::Payload;
        let payload = match answered(wire.payload, "payload")? {
            Payload::Snapshot(snapshot) => WatchPayload::Snapshot(snapshot.try_into()?),
            Payload::ModelChanged(changed) => WatchPayload::Event(changed.try_into()?),
            Payload::ModelRemoved(removed) => {
                let name = named(&removed.name, "model_removed.name")?;
                WatchPayload::Event(Event::ModelRemoved(name))
            }
            Payload::MemoryChanged(memory) => WatchPayload::Event(Event::MemoryChanged(memory.try_into()?)),
            Payload::DownloadChanged(download) => {
                WatchPayload::Event(Event::DownloadChanged(Box::new(download.try_into()?)))
            }
            Payload::ActivityChanged(activity) => {
                WatchPayload::Event(Event::ActivityChanged(Box::new(activity.try_into()?)))
            }
            Payload::ActivityEnded(ended) => WatchPayload::Event(Event::ActivityEnded(ActivityId(ended.id))),
            Payload::NotificationChanged(notification) => {
                WatchPayload::Event(Event::NotificationChanged(Box::new(notification.try_into()?)))
            }
            Payload::PauseChanged(changed) => WatchPayload::Event(Event::PauseChanged(
                changed.paused.map(TryInto::try_into).transpose()?,
            )),
            Payload::HttpChanged(http) => WatchPayload::Event(Event::HttpChanged(http.into())),
            Payload::ShuttingDown(ending) => WatchPayload::Event(Event::ShuttingDown {
                grace: Duration::from_millis(ending.grace_ms),
            }),
        };
        Ok(Self {
            sequence: wire.sequence,
            payload,
        })
    }
}

impl From<Snapshot> for v1::Snapshot {
    fn from(snapshot: Snapshot) -> Self {
        Self {
            models: snapshot.models.into_iter().map(Into::into).collect(),
            memory: snapshot.memory.into_iter().map(Into::into).collect(),
            downloads: snapshot.downloads.into_iter().map(Into::into).collect(),
            activities: snapshot.activities.into_iter().map(Into::into).collect(),
            notifications: snapshot.notifications.into_iter().map(Into::into).collect(),
            paused: snapshot.paused.map(Into::into),
            http: Some(snapshot.http.into()),
        }
    }
}

impl TryFrom<v1::Snapshot> for Snapshot {
    type Error = Fault;

    fn try_from(wire: v1::Snapshot) -> Result<Self, Fault> {
        Ok(Self {
            models: models(wire.models)?,
            memory: breakdowns(wire.memory)?,
            downloads: downloads(wire.downloads)?,
            activities: activities(wire.activities)?,
            notifications: notifications(wire.notifications)?,
            paused: wire.paused.map(TryInto::try_into).transpose()?,
            http: wire.http.map(Into::into).unwrap_or_default(),
        })
    }
}

impl From<Event> for v1::watch_response::Payload {
    fn from(event: Event) -> Self {
        match event {
            Event::ModelChanged {
                model,
                from,
                cause,
                message,
            } => Self::ModelChanged(v1::ModelChanged {
                model: Some((*model).into()),
                from: v1::ModelState::from(from).into(),
                reason: cause.to_string(),
                message,
            }),
            Event::ModelRemoved(name) => Self::ModelRemoved(v1::ModelRemoved {
                name: name.to_string(),
            }),
            Event::MemoryChanged(memory) => Self::MemoryChanged(memory.into()),
            Event::DownloadChanged(download) => Self::DownloadChanged((*download).into()),
            Event::ActivityChanged(activity) => Self::ActivityChanged((*activity).into()),
            Event::ActivityEnded(id) => Self::ActivityEnded(v1::ActivityEnded { id: id.0 }),
            Event::NotificationChanged(notification) => Self::NotificationChanged((*notification).into()),
            Event::PauseChanged(paused) => Self::PauseChanged(v1::PauseChanged {
                paused: paused.map(Into::into),
            }),
            Event::HttpChanged(http) => Self::HttpChanged(http.into()),
            Event::ShuttingDown { grace } => Self::ShuttingDown(v1::ShuttingDown {
                grace_ms: millis(grace),
            }),
        }
    }
}

impl TryFrom<v1::ModelChanged> for Event {
    type Error = Fault;

    fn try_from(wire: v1::ModelChanged) -> Result<Self, Fault> {
        Ok(Self::ModelChanged {
            model: Box::new(answered(wire.model, "model_changed.model")?.try_into()?),
            from: state(wire.from, "model_changed.from")?,
            cause: known(Cause::parse(&wire.reason), "model_changed.reason", &wire.reason)?,
            message: wire.message,
        })
    }
}

impl From<Pause> for v1::Pause {
    fn from(pause: Pause) -> Self {
        Self {
            since_ms: epoch_millis(pause.since),
            until_ms: pause.until.map(epoch_millis),
        }
    }
}

impl TryFrom<v1::Pause> for Pause {
    type Error = Fault;

    fn try_from(wire: v1::Pause) -> Result<Self, Fault> {
        let until = wire.until_ms.map(|ms| moment(ms, "pause.until_ms"));
        Ok(Self {
            since: moment(wire.since_ms, "pause.since_ms")?,
            until: until.transpose()?,
        })
    }
}

impl From<PauseRequest> for v1::PauseRequest {
    fn from(request: PauseRequest) -> Self {
        Self {
            for_ms: request.length.map(millis),
            force: request.force,
        }
    }
}

impl TryFrom<v1::PauseRequest> for PauseRequest {
    type Error = Fault;

    fn try_from(wire: v1::PauseRequest) -> Result<Self, Fault> {
        let request = Self {
            length: wire.for_ms.map(Duration::from_millis),
            force: wire.force,
        };
        request.check()?;
        Ok(request)
    }
}

impl From<Paused> for v1::PauseResponse {
    fn from(paused: Paused) -> Self {
        let texts = |names: Vec<ModelName>| names.iter().map(ToString::to_string).collect();
        Self {
            paused: Some(paused.pause.into()),
            unloaded: texts(paused.unloaded),
            freed_bytes: paused.freed_bytes,
            finishing: texts(paused.finishing),
        }
    }
}

impl TryFrom<v1::PauseResponse> for Paused {
    type Error = Fault;

    fn try_from(wire: v1::PauseResponse) -> Result<Self, Fault> {
        let names = |texts: Vec<String>, field| -> Result<Vec<ModelName>, Fault> {
            texts.iter().map(|text| named(text, field)).collect()
        };
        Ok(Self {
            pause: answered(wire.paused, "paused")?.try_into()?,
            unloaded: names(wire.unloaded, "unloaded")?,
            freed_bytes: wire.freed_bytes,
            finishing: names(wire.finishing, "finishing")?,
        })
    }
}
