//! What the rest of the daemon asks of the notifications.

use std::convert::Infallible;

use airunner_core::notification::{
    ActionResult, NewNotification, Notification, NotificationId, PresenterOrder, PresenterReport, TestReport,
};
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot};

use super::actor::{Actor, Parts};
use super::message::{Message, Session};
use super::rules::Rules;
use crate::storage::Storage;

/// Messages that may wait for the actor.
const CAPACITY: usize = 64;
/// Orders that may wait for a presenter; one that takes none of so many is dead.
const ORDERS: usize = 256;

/// The way to the notifications.
#[derive(Clone, Debug)]
pub struct Notifications {
    sender: mpsc::Sender<Message>,
    storage: Storage,
}

/// Who puts notifications on a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presenter {
    /// The daemon, as long as nobody else does.
    Itself,
    Program {
        name: String,
        pid: Option<u32>,
    },
}

/// The right to put notifications on a screen, until the reporter is dropped.
#[derive(Debug)]
pub struct Presentation {
    /// Ends when somebody else has the right.
    pub orders: mpsc::Receiver<PresenterOrder>,
    pub reporter: Reporter,
}

/// Where a presenter tells what became of its orders.
#[derive(Debug)]
pub struct Reporter {
    session: Session,
    sender: mpsc::Sender<Message>,
    _presence: oneshot::Sender<Infallible>,
}

impl Reporter {
    pub async fn report(&self, report: PresenterReport) {
        let session = self.session;
        // After the end nobody wants to know.
        drop(self.sender.send(Message::Report { session, report }).await);
    }
}

impl Notifications {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new(parts: Parts) -> (Self, Actor) {
        let (sender, messages) = mpsc::channel(CAPACITY);
        let storage = parts.storage.clone();
        let actor = Actor::new(parts, messages);
        (Self { sender, storage }, actor)
    }

    /// Tells the user something. Returns when it is written down; `None` if the user does not want
    /// to be told such things.
    pub async fn notify(&self, new: NewNotification) -> Result<Option<NotificationId>, Fault> {
        let new = Box::new(new);
        self.ask(|reply| Message::Notify { new, reply }).await?
    }

    /// Those that want an answer, or all that are remembered; the newest first.
    pub async fn list(&self, all: bool) -> Result<Vec<Notification>, Fault> {
        let records = self.storage.notifications().await?.into_iter();
        let notifications = records.map(|record| record.notification);
        Ok(notifications
            .filter(|notification| all || notification.state.is_open())
            .collect())
    }

    /// Presses a button. Returns when that is written down; what it asks for goes on by itself.
    pub async fn act(&self, id: NotificationId, action: String) -> Result<ActionResult, Fault> {
        self.ask(|reply| Message::Act { id, action, reply }).await?
    }

    /// It wants no answer any more.
    pub async fn dismiss(&self, id: NotificationId) -> Result<Notification, Fault> {
        self.ask(|reply| Message::Dismiss { id, reply }).await?
    }

    /// Sends one to see whether it arrives, and waits a few seconds for it.
    pub async fn test(&self) -> Result<TestReport, Fault> {
        self.ask(|reply| Message::Test { reply }).await?
    }

    /// Puts notifications on a screen from now on. Refused while another program does.
    pub async fn present(&self, presenter: Presenter) -> Result<Presentation, Fault> {
        let (sender, orders) = mpsc::channel(ORDERS);
        let (presence, gone) = oneshot::channel();
        let session = self
            .ask(|reply| Message::Present {
                presenter,
                orders: sender,
                gone,
                reply,
            })
            .await??;
        let reporter = Reporter {
            session,
            sender: self.sender.clone(),
            _presence: presence,
        };
        Ok(Presentation { orders, reporter })
    }

    /// What the user wants to be told, from now on.
    pub async fn set_rules(&self, rules: Rules) {
        if self.sender.send(Message::SetRules(rules)).await.is_err() {
            tracing::debug!("the notifications have ended already");
        }
    }

    /// Ends the actor; what was begun and not finished is done at the next start.
    pub async fn end(&self) {
        if self.ask(Message::End).await.is_err() {
            tracing::debug!("the notifications have ended already");
        }
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Result<T, Fault> {
        let (reply, answer) = oneshot::channel();
        self.sender.send(message(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

fn ended() -> Fault {
    Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down")
}
