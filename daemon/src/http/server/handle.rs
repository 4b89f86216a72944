//! What the rest of the daemon asks of the server.

use std::path::Path;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::owner::{Message, Owner};
use crate::config::HttpSettings;
use crate::events::Publisher;
use crate::http::api::Api;

/// Calls that may wait for the task.
const WAITING: usize = 8;

/// What it takes to serve, besides what handlers call.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub settings: &'a HttpSettings,
    /// For a certificate of our own.
    pub data: &'a Path,
    /// A client that reads nothing for so long is given up.
    pub reader_timeout: Duration,
}

/// The way to the server.
#[derive(Clone, Debug)]
pub struct Handle(mpsc::Sender<Message>);

impl Handle {
    /// Serves what the settings ask for, until the end is asked for. What is served is among what
    /// everybody is told who watches.
    pub async fn start(setting: Setting<'_>, api: Api, publisher: Publisher) -> (Self, JoinHandle<()>) {
        let (sender, messages) = mpsc::channel(WAITING);
        let mut owner = Owner::new(&setting, api, publisher, messages);
        owner.begin(setting.settings).await;
        (Self(sender), tokio::spawn(owner.run()))
    }

    /// Makes ready what these ask for, without anybody noticing; what was made ready before is
    /// given up. An error changes nothing.
    pub async fn prepare(&self, settings: &HttpSettings) -> Result<(), Fault> {
        let settings = Box::new(settings.clone());
        self.ask(|reply| Message::Prepare(settings, reply)).await
    }

    /// What is ready counts from here on.
    pub async fn serve(&self) -> Result<(), Fault> {
        self.ask(Message::Serve).await
    }

    /// What is ready is given up.
    pub async fn abandon(&self) -> Result<(), Fault> {
        self.ask(Message::Abandon).await
    }

    /// Has everybody told what is not as the settings say, until they are gone by again.
    pub async fn complain(&self, problem: String) -> Result<(), Fault> {
        self.ask(|reply| Message::Complain(problem, reply)).await
    }

    async fn ask(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<(), Fault>>) -> Message,
    ) -> Result<(), Fault> {
        let (reply, answer) = oneshot::channel();
        self.0.send(message(reply)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

fn ended() -> Fault {
    Fault::new(
        ErrorKind::ShuttingDown,
        "the daemon is shutting down: try again once it runs",
    )
}
