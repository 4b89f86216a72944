//! What others want of the notifications.

use std::convert::Infallible;

use airunner_core::Fault;
use airunner_core::notification::{
    ActionResult, NewNotification, Notification, NotificationId, PresenterOrder, PresenterReport, TestReport,
};
use tokio::sync::{mpsc, oneshot};

use super::handle::Presenter;
use super::rules::Rules;

type Reply<T> = oneshot::Sender<T>;

/// Numbers a presenter for as long as the daemon runs.
pub(super) type Session = u64;

pub(super) enum Message {
    Notify {
        new: Box<NewNotification>,
        reply: Reply<Result<Option<NotificationId>, Fault>>,
    },
    Act {
        id: NotificationId,
        action: String,
        reply: Reply<Result<ActionResult, Fault>>,
    },
    Dismiss {
        id: NotificationId,
        reply: Reply<Result<Notification, Fault>>,
    },
    Test {
        reply: Reply<Result<TestReport, Fault>>,
    },
    Present {
        presenter: Presenter,
        orders: mpsc::Sender<PresenterOrder>,
        gone: oneshot::Receiver<Infallible>,
        reply: Reply<Result<Session, Fault>>,
    },
    Report {
        session: Session,
        report: PresenterReport,
    },
    SetRules(Rules),
    End(Reply<()>),
}
