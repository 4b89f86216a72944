//! A program on a private D-Bus that shows notifications to nobody but a test.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use zbus::object_server::SignalEmitter;
use zbus::{Connection, OwnedVariant};

use crate::desktop::SessionBus;
use crate::wait::eventually_ok;

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// Why the specification says a notification was closed.
pub const TIMED_OUT: u32 = 1;
pub const BY_THE_USER: u32 = 2;
const BY_A_CALL: u32 = 3;

/// A notification as it came to the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    pub number: u32,
    pub replaces: u32,
    pub application: String,
    pub title: String,
    pub body: String,
    /// Keys and labels in turn.
    pub actions: Vec<String>,
    pub timeout: i32,
}

#[derive(Debug, Default)]
struct Screen {
    last: u32,
    shown: Vec<Toast>,
    closed: Vec<u32>,
    /// The key of the button that is pressed before the answer is given.
    presses: Option<String>,
}

/// A program that shows notifications as the specification says, on nothing.
pub struct FakeDesktop {
    connection: Connection,
    screen: Arc<Mutex<Screen>>,
}

struct Interface {
    screen: Arc<Mutex<Screen>>,
    capabilities: Vec<String>,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Interface {
    fn get_capabilities(&self) -> Vec<String> {
        self.capabilities.clone()
    }

    #[expect(clippy::too_many_arguments, reason = "the specification has so many")]
    async fn notify(
        &self,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
        application: String,
        replaces: u32,
        _icon: String,
        title: String,
        body: String,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedVariant>,
        timeout: i32,
    ) -> u32 {
        let (number, presses) = {
            let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
            screen.last += 1;
            let number = if replaces == 0 { screen.last } else { replaces };
            screen.shown.push(Toast {
                number,
                replaces,
                application,
                title,
                body,
                actions,
                timeout,
            });
            (number, screen.presses.clone())
        };
        if let Some(key) = presses {
            Self::action_invoked(&emitter, number, &key)
                .await
                .expect("the bus lives");
            Self::notification_closed(&emitter, number, BY_THE_USER)
                .await
                .expect("the bus lives");
        }
        number
    }

    async fn close_notification(&self, #[zbus(signal_emitter)] emitter: SignalEmitter<'_>, number: u32) {
        self.screen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .closed
            .push(number);
        Self::notification_closed(&emitter, number, BY_A_CALL)
            .await
            .expect("the bus lives");
    }

    #[zbus(signal)]
    async fn action_invoked(emitter: &SignalEmitter<'_>, number: u32, key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn notification_closed(emitter: &SignalEmitter<'_>, number: u32, reason: u32) -> zbus::Result<()>;
}

impl FakeDesktop {
    /// One that shows buttons and reads markup.
    pub async fn start(bus: &SessionBus) -> Self {
        Self::with(bus, &["actions", "body", "body-markup", "persistence"], None).await
    }

    /// One on which every button of that key is pressed at once, before the program that sent the
    /// notification knows its number.
    pub async fn pressing(bus: &SessionBus, key: &str) -> Self {
        Self::with(bus, &["actions", "body"], Some(key)).await
    }

    pub async fn with(bus: &SessionBus, capabilities: &[&str], presses: Option<&str>) -> Self {
        Self::at(&bus.address(), capabilities, presses).await
    }

    /// One on the bus with this address.
    pub async fn at(address: &str, capabilities: &[&str], presses: Option<&str>) -> Self {
        let screen = Arc::new(Mutex::new(Screen {
            presses: presses.map(str::to_owned),
            ..Screen::default()
        }));
        let interface = Interface {
            screen: Arc::clone(&screen),
            capabilities: capabilities.iter().map(|&name| name.to_owned()).collect(),
        };
        let connection = zbus::connection::Builder::address(address)
            .serve_at(PATH, interface)
            .name(NAME)
            .build()
            .await
            .expect("the bus takes it");
        Self { connection, screen }
    }

    /// Everything that came to the screen so far.
    #[must_use]
    pub fn shown(&self) -> Vec<Toast> {
        self.lock().shown.clone()
    }

    /// The numbers of those that were taken away.
    #[must_use]
    pub fn closed(&self) -> Vec<u32> {
        self.lock().closed.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest one with that title, once it is there.
    pub async fn until_shown(&self, title: &str) -> Toast {
        eventually_ok(title, async || {
            let shown = self.shown();
            let found = shown
                .iter()
                .rev()
                .find(|toast| toast.title.contains(title))
                .cloned();
            found.ok_or(shown)
        })
        .await
    }

    fn emitter(&self) -> SignalEmitter<'_> {
        SignalEmitter::new(&self.connection, PATH).expect("a path")
    }

    /// Presses a button, as a person does.
    pub async fn press(&self, number: u32, key: &str) {
        let emitter = self.emitter();
        Interface::action_invoked(&emitter, number, key)
            .await
            .expect("the bus lives");
    }

    /// It leaves the screen.
    pub async fn close(&self, number: u32, reason: u32) {
        let emitter = self.emitter();
        Interface::notification_closed(&emitter, number, reason)
            .await
            .expect("the bus lives");
    }

    /// Ends as a program that is killed does: with everything on its screen.
    pub async fn end(self) {
        self.connection.close().await.expect("it was open");
    }
}
