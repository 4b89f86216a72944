//! Notifications and what presenters say, for property tests.

use airunner_core::notification::{
    ActionResult, Button, Closing, Deferral, Notification, NotificationId, NotificationKind,
    NotificationState, Outcome, PresenterOrder, PresenterReport, TestReport,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{moment, some_text, text};

fn id() -> impl Strategy<Value = NotificationId> {
    any::<u64>().prop_map(NotificationId)
}

pub(in crate::convert) fn notification() -> impl Strategy<Value = Notification> {
    let button = (text(), text()).prop_map(|(key, label)| Button { key, label });
    let deferral = (moment(), moment()).prop_map(|(since, until)| Deferral { since, until });
    let outcome = prop_oneof![Just(Outcome::Done), text().prop_map(Outcome::Failed),];
    let what = (
        id(),
        select(&NotificationKind::ALL),
        [text(), text()],
        vec(button, 0..4),
    );
    let how = (
        select(&NotificationState::ALL),
        any::<u32>(),
        [moment(), moment()],
        option::of(deferral),
        some_text(),
        option::of(outcome),
    );
    (what, how).prop_map(
        |(
            (id, kind, [title, body], buttons),
            (state, revision, [created_at, deadline], deferral, acted, outcome),
        )| Notification {
            id,
            kind,
            title,
            body,
            buttons,
            state,
            revision,
            created_at,
            deadline,
            deferral,
            acted,
            outcome,
        },
    )
}

pub(in crate::convert) fn action_result() -> impl Strategy<Value = ActionResult> {
    (notification(), any::<bool>()).prop_map(|(notification, accepted)| ActionResult {
        notification,
        accepted,
    })
}

pub(in crate::convert) fn test_report() -> impl Strategy<Value = TestReport> {
    (notification(), any::<bool>(), some_text(), text()).prop_map(
        |(notification, shown, presenter, reason)| TestReport {
            notification,
            shown,
            presenter,
            reason,
        },
    )
}

pub(in crate::convert) fn presenter_report() -> impl Strategy<Value = PresenterReport> {
    prop_oneof![
        Just(PresenterReport::Able),
        text().prop_map(PresenterReport::Unable),
        (id(), any::<u32>(), text()).prop_map(|(id, revision, handle)| PresenterReport::Shown {
            id,
            revision,
            handle
        }),
        (id(), text()).prop_map(|(id, reason)| PresenterReport::Refused { id, reason }),
        (id(), text()).prop_map(|(id, action)| PresenterReport::Acted { id, action }),
        (id(), select(&Closing::ALL)).prop_map(|(id, closing)| PresenterReport::Closed { id, closing }),
        id().prop_map(PresenterReport::Lost),
    ]
}

pub(in crate::convert) fn presenter_order() -> impl Strategy<Value = PresenterOrder> {
    prop_oneof![
        notification().prop_map(|notification| PresenterOrder::Show(Box::new(notification))),
        (notification(), text()).prop_map(|(notification, handle)| PresenterOrder::Adopt {
            notification: Box::new(notification),
            handle
        }),
        id().prop_map(PresenterOrder::Withdraw),
    ]
}
