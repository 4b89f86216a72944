//! The daemon.

use airunner_core::activity::Activity;
use airunner_core::status::DaemonStatus;
use serde::Serialize;

use super::ServiceView;
use super::pause::PauseView;
use super::processes::{ProcessRow, process_rows};

/// `airunner status`.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    running: bool,
    pid: Option<u32>,
    version: Option<String>,
    /// It is not the installed one: a restart finishes an upgrade.
    outdated: Option<bool>,
    protocol: Option<u32>,
    socket: String,
    uptime_seconds: Option<u64>,
    memory_bytes: Option<u64>,
    http: Option<HttpView>,
    /// Where traces of requests are sent.
    traces: Option<String>,
    /// Nothing where nobody starts services.
    service: Option<ServiceView>,
    /// Set while it is paused.
    paused: Option<PauseView>,
    /// Imports, checks and quantizations under way.
    activities: Vec<ActivityView>,
    models: Vec<ProcessRow>,
}

#[derive(Debug, Serialize)]
struct ActivityView {
    id: u64,
    kind: &'static str,
    model: String,
    /// 0 to 1.
    progress: f64,
    /// Others of its kind go first.
    waiting: bool,
}

impl From<&Activity> for ActivityView {
    fn from(activity: &Activity) -> Self {
        Self {
            id: activity.id.0,
            kind: activity.kind.as_str(),
            model: activity.model.to_string(),
            progress: activity.fraction,
            waiting: activity.is_waiting,
        }
    }
}

/// The HTTP API.
#[derive(Debug, Serialize)]
struct HttpView {
    urls: Vec<String>,
    open: bool,
    problem: Option<String>,
}

impl StatusView {
    pub(crate) fn running(status: &DaemonStatus, outdated: bool, service: Option<ServiceView>) -> Self {
        Self {
            running: true,
            pid: Some(status.pid),
            version: Some(status.daemon_version.clone()),
            outdated: Some(outdated),
            protocol: Some(status.protocol_version),
            socket: status.socket.clone(),
            uptime_seconds: Some(status.uptime.as_secs()),
            memory_bytes: Some(status.memory_bytes),
            http: Some(HttpView {
                urls: status.http.urls.clone(),
                open: status.http.open,
                problem: status.http.problem.clone(),
            }),
            traces: status.traces.clone(),
            service,
            paused: status.paused.as_ref().map(PauseView::from),
            activities: status.activities.iter().map(ActivityView::from).collect(),
            models: process_rows(&status.models),
        }
    }

    pub(crate) const fn stopped(socket: String, service: Option<ServiceView>) -> Self {
        Self {
            running: false,
            pid: None,
            version: None,
            outdated: None,
            protocol: None,
            socket,
            uptime_seconds: None,
            memory_bytes: None,
            http: None,
            traces: None,
            service,
            paused: None,
            activities: Vec::new(),
            models: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::samples::{loaded, value};

    use super::*;

    #[test]
    fn status_has_the_same_fields_up_and_down() {
        let status = DaemonStatus {
            pid: 1,
            daemon_version: "0.1.0".into(),
            protocol_version: 1,
            socket: "/run/s".into(),
            uptime: Duration::from_millis(2900),
            memory_bytes: 3,
            models: vec![loaded()],
            ..DaemonStatus::default()
        };
        let up = StatusView::running(&status, true, None);
        let (up, down) = (value(&up), value(&StatusView::stopped("/run/s".into(), None)));
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        let expected = "running pid version outdated protocol socket uptime_seconds memory_bytes http traces service paused activities models";
        assert_eq!(keys(&up).join(" "), expected);
        assert_eq!(keys(&down), keys(&up));
        assert_eq!(
            (&up["uptime_seconds"], &down["running"]),
            (&json!(2), &json!(false))
        );
        assert_eq!((&up["outdated"], &down["outdated"]), (&json!(true), &Value::Null));
    }
}
