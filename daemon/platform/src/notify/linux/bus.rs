//! One connection to the session's D-Bus, listening from its first moment.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, Variant, fdo};

/// The program that shows notifications, by the name, the path and the interface of the
/// specification.
const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// How long that program may take to start and answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// Signals that may wait while something is asked.
const WAITING: usize = 1024;

/// What the desktop says without being asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Acted {
        server: String,
        number: u32,
        key: String,
    },
    Closed {
        server: String,
        number: u32,
        reason: u32,
    },
    /// Another program shows notifications, or none.
    OwnerChanged,
}

/// The program that shows notifications.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    /// Unique for as long as the bus lives.
    pub(super) name: String,
    /// It shows buttons.
    pub(super) has_buttons: bool,
    /// It reads the body as markup.
    pub(super) reads_markup: bool,
}

/// What is to be shown, as the desktop takes it.
#[derive(Clone, Debug)]
pub(super) struct Toast<'a> {
    pub(super) application: &'a str,
    /// 0: none.
    pub(super) replaces: u32,
    pub(super) title: &'a str,
    pub(super) body: &'a str,
    /// Keys and labels in turn.
    pub(super) actions: Vec<&'a str>,
    pub(super) stays: bool,
}

#[derive(Debug)]
pub(super) struct Bus {
    connection: Connection,
    signals: mpsc::Receiver<Signal>,
    /// End with it.
    _listeners: JoinSet<()>,
}

impl Bus {
    /// Connects, and listens before anything can be sent.
    pub(super) async fn connect(address: Option<&str>) -> zbus::Result<Self> {
        let builder = match address {
            Some(address) => zbus::connection::Builder::address(address),
            None => zbus::connection::Builder::session(),
        };
        let connection = builder.method_timeout(PATIENCE).build().await?;
        let (sender, signals) = mpsc::channel(WAITING);
        let mut listeners = JoinSet::new();
        let answers = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(NAME)
            .path(PATH)
            .interface(NAME)
            .build()?;
        let owners = MatchRule::builder()
            .msg_type(Type::Signal)
            .sender(BUS)
            .interface(BUS)
            .member("NameOwnerChanged")
            .arg(0, NAME)
            .build()?;
        for rule in [answers, owners] {
            let stream = MessageStream::for_match_rule(rule, &connection, None).await?;
            listeners.spawn(listen(stream, sender.clone()));
        }
        Ok(Self {
            connection,
            signals,
            _listeners: listeners,
        })
    }

    /// The next signal; `None` when the connection is gone. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Option<Signal> {
        self.signals.recv().await
    }

    pub(super) fn is_gone(&self) -> bool {
        self.connection.is_closed()
    }

    /// Tells this bus from every other.
    pub(super) fn identity(&self) -> String {
        self.connection.server_guid().to_string()
    }

    /// The program that shows notifications, if it runs.
    pub(super) async fn owner(&self) -> zbus::Result<Option<String>> {
        match self.ask_bus("GetNameOwner", &NAME).await {
            Ok(reply) => Ok(Some(reply.body().deserialize()?)),
            Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::NameHasNoOwner(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether it would be started if it were asked.
    pub(super) async fn can_be_started(&self) -> zbus::Result<bool> {
        let reply = self.ask_bus("ListActivatableNames", &()).await?;
        let names: Vec<String> = reply.body().deserialize()?;
        Ok(names.iter().any(|name| name == NAME))
    }

    async fn ask_bus(
        &self,
        method: &str,
        body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> zbus::Result<Message> {
        self.connection
            .call_method(Some(BUS), BUS_PATH, Some(BUS), method, body)
            .await
    }

    async fn ask(
        &self,
        method: &str,
        body: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> zbus::Result<Message> {
        self.connection
            .call_method(Some(NAME), PATH, Some(NAME), method, body)
            .await
    }

    /// Who shows notifications and what it can; it is started if need be.
    pub(super) async fn server(&self) -> zbus::Result<Server> {
        let reply = self.ask("GetCapabilities", &()).await?;
        let capabilities: Vec<String> = reply.body().deserialize()?;
        let has = |name: &str| capabilities.iter().any(|capability| capability == name);
        Ok(Server {
            name: sender(&reply).unwrap_or_default(),
            has_buttons: has("actions"),
            reads_markup: has("body-markup"),
        })
    }

    /// Puts it on the screen; its number, and who gave it.
    pub(super) async fn show(&self, toast: &Toast<'_>) -> zbus::Result<(u32, String)> {
        /// Critical ones stay in front of everything, which none of ours deserves.
        const NORMAL: u8 = 1;
        const NEVER: i32 = 0;
        const AS_USUAL: i32 = -1;
        let hints: HashMap<&str, Variant<'_>> = HashMap::from([
            ("urgency", Variant::from(NORMAL)),
            ("desktop-entry", Variant::from("airunner")),
        ]);
        let timeout = if toast.stays { NEVER } else { AS_USUAL };
        let body = (
            toast.application,
            toast.replaces,
            "airunner",
            toast.title,
            toast.body,
            &toast.actions,
            hints,
            timeout,
        );
        let reply = self.ask("Notify", &body).await?;
        let number: u32 = reply.body().deserialize()?;
        Ok((number, sender(&reply).unwrap_or_default()))
    }

    pub(super) async fn close(&self, number: u32) -> zbus::Result<()> {
        self.ask("CloseNotification", &number).await?;
        Ok(())
    }
}

fn sender(message: &Message) -> Option<String> {
    message.header().sender().map(ToString::to_string)
}

/// Passes signals on in their order. Nothing may wait in the stream, or answers to calls would
/// wait behind it.
async fn listen(mut stream: MessageStream, signals: mpsc::Sender<Signal>) {
    while let Some(Ok(message)) = stream.next().await {
        if let Some(signal) = read(&message)
            && signals.send(signal).await.is_err()
        {
            return;
        }
    }
}

/// What cannot be read is none of ours.
fn read(message: &Message) -> Option<Signal> {
    let header = message.header();
    let server = header.sender()?.to_string();
    match header.member()?.as_str() {
        "ActionInvoked" => {
            let (number, key) = message.body().deserialize().ok()?;
            Some(Signal::Acted { server, number, key })
        }
        "NotificationClosed" => {
            let (number, reason) = message.body().deserialize().ok()?;
            Some(Signal::Closed {
                server,
                number,
                reason,
            })
        }
        "NameOwnerChanged" => Some(Signal::OwnerChanged),
        _ => None,
    }
}
