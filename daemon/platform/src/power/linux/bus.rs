//! The system's D-Bus. Its address is the usual one, or that of `DBUS_SYSTEM_BUS_ADDRESS`.

use std::os::fd::OwnedFd;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream};

use super::super::PowerEvent;

const LOGIND: &str = "org.freedesktop.login1";
const LOGIND_PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const UPOWER: &str = "org.freedesktop.UPower";
const UPOWER_PATH: &str = "/org/freedesktop/UPower";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const ON_BATTERY: &str = "OnBattery";
/// How long the system may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Who keeps the machine awake, as the system shows it.
const WHO: &str = "AI Runner";

#[derive(Debug)]
pub(super) struct Bus {
    connection: Connection,
    /// End with it.
    _listeners: JoinSet<()>,
}

impl Bus {
    /// Connects, and listens for what the system says from then on.
    pub(super) async fn connect(events: mpsc::Sender<PowerEvent>) -> zbus::Result<Self> {
        let building = zbus::connection::Builder::system()
            .method_timeout(PATIENCE)
            .build();
        let connection = tokio::time::timeout(PATIENCE, building)
            .await
            .map_err(|_| zbus::Error::Failure("the system's bus does not answer".to_owned()))??;
        let mut listeners = JoinSet::new();
        let sleeps = rule(LOGIND_PATH, MANAGER, "PrepareForSleep")?;
        let battery = rule(UPOWER_PATH, PROPERTIES, "PropertiesChanged")?;
        for rule in [sleeps, battery] {
            let mut messages = MessageStream::for_match_rule(rule, &connection, None).await?;
            let (events, connection) = (events.clone(), connection.clone());
            listeners.spawn(async move {
                while let Some(Ok(message)) = messages.next().await {
                    let Some(event) = event(&message, &connection).await else {
                        continue;
                    };
                    if events.send(event).await.is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self {
            connection,
            _listeners: listeners,
        })
    }

    /// Asks logind. Not everybody may forbid sleep; to have it put off for a moment, anybody may.
    pub(super) async fn inhibit(&self, why: &str) -> zbus::Result<OwnedFd> {
        match self.ask_logind(why, "block").await {
            Ok(held) => Ok(held),
            Err(_) => self.ask_logind(why, "delay").await,
        }
    }

    async fn ask_logind(&self, why: &str, mode: &str) -> zbus::Result<OwnedFd> {
        let body = ("sleep", WHO, why, mode);
        let reply = self
            .connection
            .call_method(Some(LOGIND), LOGIND_PATH, Some(MANAGER), "Inhibit", &body)
            .await?;
        let held: zbus::OwnedFd = reply.body().deserialize()?;
        Ok(held.into())
    }

    pub(super) async fn on_battery(&self) -> Option<bool> {
        on_battery(&self.connection).await
    }
}

/// `None` where nobody watches the battery.
async fn on_battery(connection: &Connection) -> Option<bool> {
    let body = (UPOWER, ON_BATTERY);
    let reply = connection
        .call_method(Some(UPOWER), UPOWER_PATH, Some(PROPERTIES), "Get", &body)
        .await
        .ok()?;
    let value: zbus::OwnedVariant = reply.body().deserialize().ok()?;
    value.try_into().ok()
}

/// Going to sleep is announced too, and is nobody's business here.
async fn event(message: &Message, connection: &Connection) -> Option<PowerEvent> {
    let header = message.header();
    if header.member()?.as_str() == "PrepareForSleep" {
        let begins: bool = message.body().deserialize().ok()?;
        return (!begins).then_some(PowerEvent::Resumed);
    }
    on_battery(connection).await.map(PowerEvent::Battery)
}

fn rule(
    path: &'static str,
    interface: &'static str,
    member: &'static str,
) -> zbus::Result<MatchRule<'static>> {
    MatchRule::builder()
        .msg_type(Type::Signal)
        .path(path)
        .interface(interface)
        .member(member)
        .build()
}
