//! What happens.

use airunner_core::activity::Activity;
use airunner_core::event::{Event, WatchMessage, WatchPayload};
use airunner_core::status::HttpStatus;
use serde::Serialize;
use utoipa::ToSchema;

use super::{DownloadBody, MemoryBody, ModelBody, PauseBody, milliseconds};

/// What the daemon works on for a while that is neither a load nor an answer nor a download.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct ActivityBody {
    id: u64,
    /// `import`, `quantize` or `verify`.
    kind: &'static str,
    model: String,
    /// 0 to 1.
    progress: f64,
    /// Others of its kind go first.
    waiting: bool,
}

impl From<Activity> for ActivityBody {
    fn from(activity: Activity) -> Self {
        Self {
            id: activity.id.0,
            kind: activity.kind.as_str(),
            model: activity.model.to_string(),
            progress: activity.fraction,
            waiting: activity.is_waiting,
        }
    }
}

/// Where the HTTP API answers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct HttpBody {
    urls: Vec<String>,
    /// Anybody on this machine may call it without a key.
    open: bool,
}

impl From<HttpStatus> for HttpBody {
    fn from(status: HttpStatus) -> Self {
        // Why something is not served may name files of this machine.
        let HttpStatus {
            urls,
            open,
            problem: _,
        } = status;
        Self { urls, open }
    }
}

/// Something that happened, with its number.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct SequencedBody {
    /// Counts up by one with every event. A snapshot carries the number of the last event it contains.
    pub(in crate::http::native) sequence: u64,
    #[serde(flatten)]
    pub(in crate::http::native) event: EventBody,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::http::native) enum EventBody {
    /// Everything as it is. Comes first, and again to a client that has fallen behind.
    Snapshot {
        models: Vec<ModelBody>,
        memory: Vec<MemoryBody>,
        downloads: Vec<DownloadBody>,
        activities: Vec<ActivityBody>,
        /// Set while the daemon is paused.
        paused: Option<PauseBody>,
        http: HttpBody,
    },
    ModelChanged {
        model: Box<ModelBody>,
        from: &'static str,
        /// Stable, such as `idle_timeout`.
        cause: String,
        /// For a person.
        message: String,
    },
    ModelRemoved {
        name: String,
    },
    MemoryChanged {
        memory: Vec<MemoryBody>,
    },
    DownloadChanged {
        download: Box<DownloadBody>,
    },
    /// An import, a check or a quantization began, or is further.
    ActivityChanged {
        activity: ActivityBody,
    },
    ActivityEnded {
        id: u64,
    },
    /// What it says is told at `/notifications`.
    NotificationChanged {
        id: u64,
        kind: &'static str,
        state: &'static str,
    },
    /// A pause began, was changed, or with null is over.
    PauseChanged {
        paused: Option<PauseBody>,
    },
    /// The HTTP API answers elsewhere, or not any more.
    HttpChanged {
        http: HttpBody,
    },
    ShuttingDown {
        grace_ms: f64,
    },
}

impl EventBody {
    /// Its name as a server-sent event.
    pub(in crate::http::native) const fn name(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => "snapshot",
            Self::ModelChanged { .. } => "model_changed",
            Self::ModelRemoved { .. } => "model_removed",
            Self::MemoryChanged { .. } => "memory_changed",
            Self::DownloadChanged { .. } => "download_changed",
            Self::ActivityChanged { .. } => "activity_changed",
            Self::ActivityEnded { .. } => "activity_ended",
            Self::NotificationChanged { .. } => "notification_changed",
            Self::PauseChanged { .. } => "pause_changed",
            Self::HttpChanged { .. } => "http_changed",
            Self::ShuttingDown { .. } => "shutting_down",
        }
    }
}

impl From<WatchMessage> for SequencedBody {
    fn from(message: WatchMessage) -> Self {
        let memory = |memory: Vec<_>| memory.into_iter().map(MemoryBody::from).collect();
        let event = match message.payload {
            WatchPayload::Snapshot(snapshot) => EventBody::Snapshot {
                models: snapshot.models.into_iter().map(ModelBody::from).collect(),
                memory: memory(snapshot.memory),
                downloads: snapshot.downloads.into_iter().map(DownloadBody::from).collect(),
                activities: snapshot.activities.into_iter().map(ActivityBody::from).collect(),
                paused: snapshot.paused.map(PauseBody::from),
                http: snapshot.http.into(),
            },
            WatchPayload::Event(Event::ModelChanged {
                model,
                from,
                cause,
                message,
            }) => EventBody::ModelChanged {
                model: Box::new((*model).into()),
                from: from.as_str(),
                cause: cause.to_string(),
                message,
            },
            WatchPayload::Event(Event::ModelRemoved(name)) => EventBody::ModelRemoved {
                name: name.to_string(),
            },
            WatchPayload::Event(Event::MemoryChanged(changed)) => EventBody::MemoryChanged {
                memory: memory(changed),
            },
            WatchPayload::Event(Event::DownloadChanged(download)) => EventBody::DownloadChanged {
                download: Box::new((*download).into()),
            },
            WatchPayload::Event(Event::ActivityChanged(activity)) => EventBody::ActivityChanged {
                activity: (*activity).into(),
            },
            WatchPayload::Event(Event::ActivityEnded(id)) => EventBody::ActivityEnded { id: id.0 },
            WatchPayload::Event(Event::NotificationChanged(notification)) => EventBody::NotificationChanged {
                id: notification.id.0,
                kind: notification.kind.as_str(),
                state: notification.state.as_str(),
            },
            WatchPayload::Event(Event::PauseChanged(paused)) => EventBody::PauseChanged {
                paused: paused.map(PauseBody::from),
            },
            WatchPayload::Event(Event::HttpChanged(http)) => EventBody::HttpChanged { http: http.into() },
            WatchPayload::Event(Event::ShuttingDown { grace }) => EventBody::ShuttingDown {
                grace_ms: milliseconds(grace),
            },
        };
        Self {
            sequence: message.sequence,
            event,
        }
    }
}
