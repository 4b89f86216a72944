//! What the rest of the daemon asks of the machine.

use airunner_core::hardware::Hardware as Profile;
use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot, watch};

use super::actor::{Actor, Message};
use super::machine::{Machine, ThisMachine};

/// More wishes than this say nothing that the earlier ones do not.
const WAITING_MESSAGES: usize = 32;

/// The way to the machine.
#[derive(Clone, Debug)]
pub struct Hardware {
    sender: mpsc::Sender<Message>,
    latest: watch::Receiver<Option<Profile>>,
}

impl Hardware {
    /// The handle, and the actor to run.
    #[must_use]
    pub fn new() -> (Self, Actor) {
        Self::of(Box::new(ThisMachine))
    }

    pub(super) fn of(machine: Box<dyn Machine>) -> (Self, Actor) {
        let (sender, messages) = mpsc::channel(WAITING_MESSAGES);
        let (publish, latest) = watch::channel(None);
        (Self { sender, latest }, Actor::new(messages, publish, machine))
    }

    /// Asks the system and every driver anew; who asks meanwhile gets the same answer.
    pub async fn profile(&self) -> Result<Profile, Fault> {
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Message::Profile { reply }).await;
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// As it was found last; `None` before that.
    #[must_use]
    pub fn latest(&self) -> Option<Profile> {
        self.latest.borrow().clone()
    }

    /// Reads memory at once, and returns when the sink has the readings.
    pub async fn read(&self) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        let sent = self.sender.send(Message::Read { reply: Some(reply) }).await;
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }

    /// Reads memory at once; the sink gets the readings.
    pub fn refresh(&self) {
        self.wish(Message::Read { reply: None });
    }

    /// A device did not do what it should: it may be gone.
    pub fn device_failed(&self) {
        self.wish(Message::DeviceFailed);
    }

    /// Lost if the actor is busy with the same wish or has ended, which is fine.
    fn wish(&self, message: Message) {
        if let Err(error) = self.sender.try_send(message) {
            tracing::debug!(%error, "the machine is not asked again");
        }
    }
}

fn ended() -> Fault {
    Fault::new(ErrorKind::ShuttingDown, "the daemon is shutting down")
}
