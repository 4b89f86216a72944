//! Notifications.

use airunner_core::notification::{Button, Notification, Outcome};
use serde::Serialize;
use utoipa::ToSchema;

use super::moment;

/// Something the user of this machine is told.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(in crate::http::native) struct NotificationBody {
    id: u64,
    /// Such as `worker_crashed`.
    kind: &'static str,
    title: String,
    /// A few lines.
    body: String,
    actions: Vec<ActionBody>,
    /// `waiting`, `shown`, `acted`, `dismissed`, `expired` or `withdrawn`.
    state: &'static str,
    created_at: String,
    /// When it is no longer worth showing.
    deadline: String,
    /// While it waits because somebody wants to see it later.
    #[serde(skip_serializing_if = "Option::is_none")]
    deferred_until: Option<String>,
    /// The action that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    acted: Option<String>,
    /// `done` or `failed`; left out while it is under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// A button.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ActionBody {
    key: String,
    label: String,
}

impl From<Notification> for NotificationBody {
    fn from(notification: Notification) -> Self {
        let (outcome, problem) = match notification.outcome {
            None => (None, None),
            Some(Outcome::Done) => (Some("done"), None),
            Some(Outcome::Failed(why)) => (Some("failed"), Some(crate::http::paths::without(&why))),
        };
        let buttons = notification.buttons.into_iter();
        Self {
            id: notification.id.0,
            kind: notification.kind.as_str(),
            title: notification.title,
            body: crate::http::paths::without(&notification.body),
            actions: buttons
                .map(|Button { key, label }| ActionBody { key, label })
                .collect(),
            state: notification.state.as_str(),
            created_at: moment(notification.created_at),
            deadline: moment(notification.deadline),
            deferred_until: notification.deferral.map(|deferral| moment(deferral.until)),
            acted: notification.acted,
            outcome,
            problem,
        }
    }
}
