//! What the user of this machine is told.

use std::time::SystemTime;

use airunner_core::notification::{ActionResult, Button, Notification, Outcome, TestReport};
use serde::Serialize;

use crate::table::{Align, Table};
use crate::units;

/// A row of `airunner notify list`.
#[derive(Debug, Serialize)]
pub(crate) struct NotificationRow<'a> {
    id: u64,
    kind: &'static str,
    title: &'a str,
    body: &'a str,
    actions: Vec<ActionView<'a>>,
    state: &'static str,
    created_at: Option<String>,
    deadline: Option<String>,
    deferred_until: Option<String>,
    acted: Option<&'a str>,
    outcome: Option<&'static str>,
    problem: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ActionView<'a> {
    key: &'a str,
    label: &'a str,
}

impl<'a> NotificationRow<'a> {
    pub(crate) fn new(notification: &'a Notification, now: SystemTime) -> Self {
        let button = |button: &'a Button| ActionView {
            key: &button.key,
            label: &button.label,
        };
        let (outcome, problem) = match &notification.outcome {
            None => (None, None),
            Some(Outcome::Done) => (Some("done"), None),
            Some(Outcome::Failed(why)) => (Some("failed"), Some(&**why)),
        };
        let deferral = notification.deferral;
        let deferral = deferral.filter(|deferral| deferral.remaining(now).is_some());
        Self {
            id: notification.id.0,
            kind: notification.kind.as_str(),
            title: &notification.title,
            body: &notification.body,
            actions: notification.buttons.iter().map(button).collect(),
            state: notification.state.as_str(),
            created_at: units::timestamp(notification.created_at),
            deadline: units::timestamp(notification.deadline),
            deferred_until: deferral.and_then(|deferral| units::timestamp(deferral.until)),
            acted: notification.acted.as_deref(),
            outcome,
            problem,
        }
    }
}

/// `airunner notify act`.
#[derive(Debug, Serialize)]
pub(crate) struct ActedView<'a> {
    accepted: bool,
    #[serde(flatten)]
    row: NotificationRow<'a>,
}

impl<'a> ActedView<'a> {
    pub(crate) fn new(result: &'a ActionResult, now: SystemTime) -> Self {
        Self {
            accepted: result.accepted,
            row: NotificationRow::new(&result.notification, now),
        }
    }
}

/// `airunner notify test`.
#[derive(Debug, Serialize)]
pub(crate) struct TestedView<'a> {
    shown: bool,
    presenter: Option<&'a str>,
    reason: Option<&'a str>,
    notification: NotificationRow<'a>,
}

impl<'a> TestedView<'a> {
    pub(crate) fn new(report: &'a TestReport, now: SystemTime) -> Self {
        Self {
            shown: report.shown,
            presenter: report.presenter.as_deref(),
            reason: Some(&*report.reason).filter(|reason| !reason.is_empty()),
            notification: NotificationRow::new(&report.notification, now),
        }
    }
}

pub(crate) fn notification_rows(notifications: &[Notification], now: SystemTime) -> Vec<NotificationRow<'_>> {
    let rows = notifications.iter();
    rows.map(|notification| NotificationRow::new(notification, now))
        .collect()
}

pub(crate) fn notifications_table(notifications: &[Notification], now: SystemTime) -> Table {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("WHEN", Align::Left),
        ("WHAT", Align::Left),
        ("STATE", Align::Left),
        ("ACTIONS", Align::Left),
    ]);
    for notification in notifications {
        table.row([
            notification.id.to_string(),
            units::since(notification.created_at, now),
            notification.title.clone(),
            state(notification, now),
            actions(notification),
        ]);
    }
    table
}

fn state(notification: &Notification, now: SystemTime) -> String {
    let deferral = notification.deferral;
    if deferral.is_some_and(|deferral| deferral.remaining(now).is_some()) {
        let until = deferral.map_or(now, |deferral| deferral.until);
        return format!("again {}", units::until(until, now));
    }
    match (&notification.acted, &notification.outcome) {
        (Some(pressed), None) => format!("{pressed}: under way"),
        (Some(pressed), Some(Outcome::Done)) => format!("{pressed}: done"),
        (Some(pressed), Some(Outcome::Failed(why))) => format!("{pressed}: {why}"),
        (None, _) => notification.state.as_str().to_owned(),
    }
}

/// What can still be pressed.
fn actions(notification: &Notification) -> String {
    if !notification.state.is_open() {
        return String::new();
    }
    let keys: Vec<&str> = notification.buttons.iter().map(|button| &*button.key).collect();
    keys.join(", ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use airunner_core::notification::{Deferral, NotificationId, NotificationKind, NotificationState};
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn notification() -> Notification {
        Notification {
            id: NotificationId(12),
            kind: NotificationKind::WorkerCrashed,
            title: "tiny crashed".into(),
            body: "It ended.".into(),
            buttons: vec![Button {
                key: "load".into(),
                label: "Load again".into(),
            }],
            state: NotificationState::Waiting,
            revision: 1,
            created_at: at(0),
            deadline: at(86_400),
            deferral: None,
            acted: None,
            outcome: None,
        }
    }

    #[test]
    fn a_notification_has_the_fields_of_the_contract() {
        let row = json!({
            "id": 12, "kind": "worker_crashed", "title": "tiny crashed", "body": "It ended.",
            "actions": [{"key": "load", "label": "Load again"}], "state": "waiting",
            "created_at": "1970-01-01T00:00:00Z", "deadline": "1970-01-02T00:00:00Z",
            "deferred_until": null, "acted": null, "outcome": null, "problem": null
        });
        assert_eq!(value(&notification_rows(&[notification()], at(1))), json!([row]));
        let report = TestReport {
            notification: notification(),
            shown: false,
            presenter: None,
            reason: "no screen".into(),
        };
        assert_eq!(
            value(&TestedView::new(&report, at(1))),
            json!({"shown": false, "presenter": null, "reason": "no screen", "notification": row})
        );
    }

    #[test]
    fn people_see_what_can_be_pressed_and_what_came_of_it() {
        let deferred = Notification {
            deferral: Some(Deferral {
                since: at(0),
                until: at(600),
            }),
            ..notification()
        };
        let failed = Notification {
            state: NotificationState::Acted,
            acted: Some("load".into()),
            outcome: Some(Outcome::Failed("no memory".into())),
            ..notification()
        };
        let (head, rows) = notifications_table(&[notification(), deferred, failed], at(60)).lines();
        assert_eq!(head, "ID  WHEN       WHAT          STATE            ACTIONS");
        assert_eq!(
            rows,
            [
                "12  1 min ago  tiny crashed  waiting          load",
                "12  1 min ago  tiny crashed  again in 9 min   load",
                "12  1 min ago  tiny crashed  load: no memory",
            ]
        );
    }
}
