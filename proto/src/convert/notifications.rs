//! What the user is told, and the words between the daemon and a presenter.

use airunner_core::Fault;
use airunner_core::notification::{
    ActionResult, Button, Closing, Deferral, Notification, NotificationId, NotificationKind,
    NotificationState, Outcome, PresenterOrder, PresenterReport, TestReport,
};

use super::common::{epoch_millis, moment};
use super::wire::{answered, at_most_bytes, known, non_empty, not_understood, plain_text, refused, required};
use crate::v1;

/// Longest text of a presenter, bytes.
const MAX_TEXT_BYTES: usize = 1024;

impl From<Notification> for v1::Notification {
    fn from(notification: Notification) -> Self {
        let (outcome, problem) = match notification.outcome {
            None => ("", String::new()),
            Some(Outcome::Done) => ("done", String::new()),
            Some(Outcome::Failed(why)) => ("failed", why),
        };
        let buttons = notification.buttons.into_iter();
        Self {
            id: notification.id.0,
            kind: notification.kind.as_str().to_owned(),
            title: notification.title,
            body: notification.body,
            buttons: buttons
                .map(|Button { key, label }| v1::NotificationButton { key, label })
                .collect(),
            state: notification.state.as_str().to_owned(),
            revision: notification.revision,
            created_at_ms: epoch_millis(notification.created_at),
            deadline_ms: epoch_millis(notification.deadline),
            deferred_since_ms: notification.deferral.map(|deferral| epoch_millis(deferral.since)),
            deferred_until_ms: notification.deferral.map(|deferral| epoch_millis(deferral.until)),
            acted: notification.acted.unwrap_or_default(),
            outcome: outcome.to_owned(),
            problem,
        }
    }
}

impl TryFrom<v1::Notification> for Notification {
    type Error = Fault;

    fn try_from(wire: v1::Notification) -> Result<Self, Fault> {
        let deferral = match (wire.deferred_since_ms, wire.deferred_until_ms) {
            (Some(since), Some(until)) => Some(Deferral {
                since: moment(since, "notification.deferred_since_ms")?,
                until: moment(until, "notification.deferred_until_ms")?,
            }),
            (_, _) => None,
        };
        let outcome = match &*wire.outcome {
            "" => None,
            "done" => Some(Outcome::Done),
            "failed" => Some(Outcome::Failed(wire.problem)),
            other => {
                let why = format!("{other:?} is unknown");
                return Err(not_understood("notification.outcome", &why));
            }
        };
        Ok(Self {
            id: NotificationId(wire.id),
            kind: known(
                NotificationKind::parse(&wire.kind),
                "notification.kind",
                &wire.kind,
            )?,
            title: wire.title,
            body: wire.body,
            buttons: wire
                .buttons
                .into_iter()
                .map(|v1::NotificationButton { key, label }| Button { key, label })
                .collect(),
            state: known(
                NotificationState::parse(&wire.state),
                "notification.state",
                &wire.state,
            )?,
            revision: wire.revision,
            created_at: moment(wire.created_at_ms, "notification.created_at_ms")?,
            deadline: moment(wire.deadline_ms, "notification.deadline_ms")?,
            deferral,
            acted: non_empty(wire.acted),
            outcome,
        })
    }
}

impl From<Vec<Notification>> for v1::ListNotificationsResponse {
    fn from(notifications: Vec<Notification>) -> Self {
        Self {
            notifications: notifications.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ListNotificationsResponse> for Vec<Notification> {
    type Error = Fault;

    fn try_from(wire: v1::ListNotificationsResponse) -> Result<Self, Fault> {
        notifications(wire.notifications)
    }
}

/// Every notification of an answer.
pub(super) fn notifications(wire: Vec<v1::Notification>) -> Result<Vec<Notification>, Fault> {
    wire.into_iter().map(TryInto::try_into).collect()
}

/// What a request presses: the notification and the key of the button.
pub fn asked_action(wire: v1::ActRequest) -> Result<(NotificationId, String), Fault> {
    plain_text(&wire.action, MAX_TEXT_BYTES, "action")?;
    let action = required(non_empty(wire.action), "action")?;
    Ok((NotificationId(wire.id), action))
}

impl From<ActionResult> for v1::ActResponse {
    fn from(result: ActionResult) -> Self {
        Self {
            notification: Some(result.notification.into()),
            accepted: result.accepted,
        }
    }
}

impl TryFrom<v1::ActResponse> for ActionResult {
    type Error = Fault;

    fn try_from(wire: v1::ActResponse) -> Result<Self, Fault> {
        Ok(Self {
            notification: answered(wire.notification, "notification")?.try_into()?,
            accepted: wire.accepted,
        })
    }
}

impl From<TestReport> for v1::TestNotificationResponse {
    fn from(report: TestReport) -> Self {
        Self {
            notification: Some(report.notification.into()),
            shown: report.shown,
            presenter: report.presenter.unwrap_or_default(),
            reason: report.reason,
        }
    }
}

impl TryFrom<v1::TestNotificationResponse> for TestReport {
    type Error = Fault;

    fn try_from(wire: v1::TestNotificationResponse) -> Result<Self, Fault> {
        Ok(Self {
            notification: answered(wire.notification, "notification")?.try_into()?,
            shown: wire.shown,
            presenter: non_empty(wire.presenter),
            reason: wire.reason,
        })
    }
}

/// The first message of a presenter.
#[must_use]
pub fn hello(name: &str) -> v1::PresentRequest {
    let hello = v1::PresenterHello {
        name: name.to_owned(),
    };
    v1::PresentRequest {
        message: Some(v1::present_request::Message::Hello(hello)),
    }
}

/// Who a presenter says it is, which must be the first it says.
pub fn asked_hello(wire: v1::PresentRequest) -> Result<String, Fault> {
    let Some(v1::present_request::Message::Hello(hello)) = wire.message else {
        return Err(Fault::invalid("the first message must be hello: send it"));
    };
    plain_text(&hello.name, MAX_TEXT_BYTES, "name")?;
    required(non_empty(hello.name), "name")
}

impl From<PresenterReport> for v1::PresentRequest {
    fn from(report: PresenterReport) -> Self {
        use v1::present_request::Message;
        let message = match report {
            PresenterReport::Able => Message::Able(v1::PresenterAble {}),
            PresenterReport::Unable(reason) => Message::Unable(v1::PresenterUnable { reason }),
            PresenterReport::Shown { id, revision, handle } => Message::Shown(v1::PresenterShown {
                id: id.0,
                revision,
                handle,
            }),
            PresenterReport::Refused { id, reason } => {
                Message::Refused(v1::PresenterRefused { id: id.0, reason })
            }
            PresenterReport::Acted { id, action } => Message::Acted(v1::PresenterActed { id: id.0, action }),
            PresenterReport::Closed { id, closing } => Message::Closed(v1::PresenterClosed {
                id: id.0,
                reason: closing.as_str().to_owned(),
            }),
            PresenterReport::Lost(id) => Message::Lost(v1::PresenterLost { id: id.0 }),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<v1::PresentRequest> for PresenterReport {
    type Error = Fault;

    fn try_from(wire: v1::PresentRequest) -> Result<Self, Fault> {
        use v1::present_request::Message;
        let text = |text: String, field| {
            // What a desktop says may have lines; it may not have no end.
            at_most_bytes(&text, MAX_TEXT_BYTES, field).map(|()| text)
        };
        Ok(match required(wire.message, "message")? {
            Message::Hello(_) => return Err(Fault::invalid("hello was said already: say it once")),
            Message::Able(v1::PresenterAble {}) => Self::Able,
            Message::Unable(unable) => Self::Unable(text(unable.reason, "reason")?),
            Message::Shown(shown) => Self::Shown {
                id: NotificationId(shown.id),
                revision: shown.revision,
                handle: text(shown.handle, "handle")?,
            },
            Message::Refused(refused) => Self::Refused {
                id: NotificationId(refused.id),
                reason: text(refused.reason, "reason")?,
            },
            Message::Acted(acted) => Self::Acted {
                id: NotificationId(acted.id),
                action: text(acted.action, "action")?,
            },
            Message::Closed(closed) => {
                let all = Closing::ALL.map(Closing::as_str).join(", ");
                Self::Closed {
                    id: NotificationId(closed.id),
                    closing: refused(Closing::parse(&closed.reason), "reason", &closed.reason, &all)?,
                }
            }
            Message::Lost(lost) => Self::Lost(NotificationId(lost.id)),
        })
    }
}

impl From<PresenterOrder> for v1::PresentResponse {
    fn from(order: PresenterOrder) -> Self {
        use v1::present_response::Message;
        let message = match order {
            PresenterOrder::Show(notification) => Message::Show((*notification).into()),
            PresenterOrder::Adopt { notification, handle } => Message::Adopt(v1::PresenterAdopt {
                notification: Some((*notification).into()),
                handle,
            }),
            PresenterOrder::Withdraw(id) => Message::Withdraw(v1::PresenterWithdraw { id: id.0 }),
        };
        Self {
            message: Some(message),
        }
    }
}

impl TryFrom<v1::PresentResponse> for PresenterOrder {
    type Error = Fault;

    fn try_from(wire: v1::PresentResponse) -> Result<Self, Fault> {
        use v1::present_response::Message;
        Ok(match answered(wire.message, "message")? {
            Message::Show(notification) => Self::Show(Box::new(notification.try_into()?)),
            Message::Adopt(adopt) => Self::Adopt {
                notification: Box::new(answered(adopt.notification, "adopt.notification")?.try_into()?),
                handle: adopt.handle,
            },
            Message::Withdraw(withdraw) => Self::Withdraw(NotificationId(withdraw.id)),
        })
    }
}
