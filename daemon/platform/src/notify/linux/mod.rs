//! The notifications of freedesktop.org, over the session's D-Bus.

mod bus;
mod screen;

use std::borrow::Cow;

use airunner_core::notification::{Closing, Notification, PresenterOrder, PresenterReport, escape_markup};
use tokio::sync::mpsc;

use super::NotifierOptions;
use bus::{Bus, Server, Signal, Toast};
use screen::Screen;

pub(super) const WORKS_WITHOUT_WINDOW: bool = true;

const NO_BUS: &str = "there is no desktop session (no D-Bus session bus)";
const NO_SERVER: &str = "no program in this session shows notifications";
/// Why the specification says a notification was closed.
const TIMED_OUT: u32 = 1;
const BY_THE_USER: u32 = 2;

/// Until nobody gives orders any more. A connection that is lost is made again when it is needed.
pub(super) async fn run(
    options: NotifierOptions,
    mut orders: mpsc::Receiver<PresenterOrder>,
    reports: mpsc::Sender<PresenterReport>,
) {
    let mut desk = Desk {
        options,
        reports,
        bus: None,
        server: None,
        screen: Screen::default(),
        told: None,
        is_broken: false,
    };
    desk.connect().await;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(order) => desk.obey(order).await,
                None => return,
            },
            signal = next_signal(&mut desk.bus) => desk.hear(signal).await,
        }
    }
}

async fn next_signal(bus: &mut Option<Bus>) -> Option<Signal> {
    match bus {
        Some(bus) => bus.next().await,
        None => std::future::pending().await,
    }
}

struct Desk {
    options: NotifierOptions,
    reports: mpsc::Sender<PresenterReport>,
    bus: Option<Bus>,
    /// Once it has been asked what it can.
    server: Option<Server>,
    screen: Screen,
    /// What was said last of whether anybody can see anything.
    told: Option<Result<(), String>>,
    /// The program that would be started did not show the last one.
    is_broken: bool,
}

impl Desk {
    async fn report(&self, report: PresenterReport) {
        // Who does not listen any more drops the orders too, which ends this.
        drop(self.reports.send(report).await);
    }

    async fn say(&mut self, can: Result<(), String>) {
        if self.told.as_ref() == Some(&can) {
            return;
        }
        self.told = Some(can.clone());
        match can {
            Ok(()) => self.report(PresenterReport::Able).await,
            Err(reason) => self.report(PresenterReport::Unable(reason)).await,
        }
    }

    async fn connect(&mut self) {
        match Bus::connect(self.options.bus.as_deref()).await {
            Ok(bus) => {
                self.bus = Some(bus);
                self.look().await;
            }
            Err(error) => {
                tracing::debug!(%error, "no session bus");
                self.say(Err(NO_BUS.to_owned())).await;
            }
        }
    }

    /// Says whether something can be shown.
    async fn look(&mut self) {
        let Some(bus) = &self.bus else { return };
        let can = match bus.owner().await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => match bus.can_be_started().await {
                Ok(true) if !self.is_broken => Ok(()),
                Ok(_) => Err(NO_SERVER.to_owned()),
                Err(error) => Err(unshown(&error)),
            },
            Err(error) => Err(unshown(&error)),
        };
        self.say(can).await;
    }

    async fn obey(&mut self, order: PresenterOrder) {
        match order {
            PresenterOrder::Show(notification) => self.show(&notification).await,
            PresenterOrder::Adopt { notification, handle } => self.adopt(&notification, &handle).await,
            PresenterOrder::Withdraw(id) => {
                let number = self.screen.withdraw(id);
                if let (Some(number), Some(bus)) = (number, &self.bus)
                    && let Err(error) = bus.close(number).await
                {
                    tracing::debug!(%error, "a notification could not be taken back");
                }
            }
        }
    }

    async fn show(&mut self, notification: &Notification) {
        let id = notification.id;
        match self.put(notification).await {
            Ok(handle) => {
                self.is_broken = false;
                self.say(Ok(())).await;
                let revision = notification.revision;
                self.report(PresenterReport::Shown { id, revision, handle }).await;
            }
            Err(reason) => {
                tracing::debug!(%id, reason, "a notification cannot be shown");
                self.is_broken = true;
                self.say(Err(reason.clone())).await;
                self.report(PresenterReport::Refused { id, reason }).await;
            }
        }
    }

    /// Puts it on the screen, on a new connection if the old one is gone.
    async fn put(&mut self, notification: &Notification) -> Result<String, String> {
        if self.bus.as_ref().is_some_and(Bus::is_gone) {
            self.lose_bus().await;
        }
        if self.bus.is_none() {
            self.connect().await;
        }
        match self.try_to_put(notification).await {
            Err(_) if self.bus.as_ref().is_some_and(Bus::is_gone) => {
                self.lose_bus().await;
                self.connect().await;
                self.try_to_put(notification).await
            }
            outcome => outcome,
        }
    }

    async fn try_to_put(&mut self, notification: &Notification) -> Result<String, String> {
        let server = self.server().await?;
        let Some(bus) = &self.bus else {
            return Err(NO_BUS.to_owned());
        };
        let body = body(notification, &server, self.options.hints);
        let toast = Toast {
            application: &self.options.application,
            replaces: self.screen.number_of(notification.id).unwrap_or(0),
            title: &notification.title,
            body: &body,
            actions: actions(notification, &server),
            stays: notification.kind.stays(),
        };
        let (number, name) = bus.show(&toast).await.map_err(|error| unshown(&error))?;
        let handle = handle(&bus.identity(), &name, number);
        if name != server.name {
            // Another one has taken its place in between; what it can is asked the next time.
            self.lose_screen().await;
        }
        self.screen.put(number, notification);
        Ok(handle)
    }

    async fn server(&mut self) -> Result<Server, String> {
        if let Some(server) = &self.server {
            return Ok(server.clone());
        }
        let bus = self.bus.as_ref().ok_or_else(|| NO_BUS.to_owned())?;
        let server = bus.server().await.map_err(|error| unshown(&error))?;
        self.server = Some(server.clone());
        Ok(server)
    }

    /// What an earlier program put on this screen is answered to this one.
    async fn adopt(&mut self, notification: &Notification, handle: &str) {
        if self.screen.number_of(notification.id).is_some() {
            return;
        }
        match self.still_there(handle).await {
            Some(number) => self.screen.put(number, notification),
            None => self.report(PresenterReport::Lost(notification.id)).await,
        }
    }

    /// The number of one that is on this screen, if the program that shows it is the same.
    async fn still_there(&mut self, handle: &str) -> Option<u32> {
        let mut parts = handle.split('/');
        let (identity, name, number) = (parts.next()?, parts.next()?, parts.next()?);
        let bus = self.bus.as_ref()?;
        let owner = bus.owner().await.ok()??;
        if bus.identity() != identity || owner != name {
            return None;
        }
        let number = number.parse().ok()?;
        // Whose signals are heard is known by what it can.
        self.server().await.ok()?;
        Some(number)
    }

    async fn hear(&mut self, signal: Option<Signal>) {
        match signal {
            None => self.lose_bus().await,
            Some(Signal::OwnerChanged) => self.owner_changed().await,
            Some(Signal::Acted { server, number, key }) if self.is_from(&server) => {
                if let Some(id) = self.screen.acted(number, &key) {
                    self.report(PresenterReport::Acted { id, action: key }).await;
                }
            }
            Some(Signal::Closed {
                server,
                number,
                reason,
            }) if self.is_from(&server) => {
                let closing = match reason {
                    BY_THE_USER => Closing::Dismissed,
                    TIMED_OUT.. | 0 => Closing::Expired,
                };
                if let Some(id) = self.screen.closed(number) {
                    self.report(PresenterReport::Closed { id, closing }).await;
                }
            }
            Some(Signal::Acted { server, .. } | Signal::Closed { server, .. }) => {
                tracing::debug!(server, "somebody else speaks for the notifications");
            }
        }
    }

    /// Any program of the session could send such a signal.
    fn is_from(&self, server: &str) -> bool {
        self.server.as_ref().is_some_and(|known| known.name == server)
    }

    /// Signals may be older than what was learned since, so it is asked anew.
    async fn owner_changed(&mut self) {
        let Some(bus) = &self.bus else { return };
        let owner = bus.owner().await.unwrap_or_default();
        let is_same = owner.as_deref().is_some_and(|owner| self.is_from(owner));
        if is_same {
            return;
        }
        if self.server.is_some() {
            tracing::debug!("the program that shows notifications has gone");
        }
        self.lose_screen().await;
        // Said even if it was so before: what waits may try its luck with this one.
        self.told = None;
        self.look().await;
    }

    async fn lose_screen(&mut self) {
        self.server = None;
        for id in self.screen.lose() {
            self.report(PresenterReport::Lost(id)).await;
        }
    }

    async fn lose_bus(&mut self) {
        tracing::debug!("the session bus is gone");
        self.bus = None;
        self.lose_screen().await;
        self.say(Err(NO_BUS.to_owned())).await;
    }
}

fn unshown(error: &zbus::Error) -> String {
    if let zbus::Error::FDO(known) = error
        && matches!(**known, zbus::fdo::Error::ServiceUnknown(_))
    {
        return NO_SERVER.to_owned();
    }
    format!("the desktop does not show notifications: {error}")
}

/// Lets a later program find it again, and no other: bus, program and number.
fn handle(identity: &str, server: &str, number: u32) -> String {
    format!("{identity}/{server}/{number}")
}

fn body<'a>(notification: &'a Notification, server: &Server, hints: bool) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(&*notification.body);
    if hints && !server.has_buttons && !notification.buttons.is_empty() {
        let keys: Vec<&str> = notification.buttons.iter().map(|button| &*button.key).collect();
        let hint = format!("\nairunner notify act {} {}", notification.id, keys.join("|"));
        text.to_mut().push_str(&hint);
    }
    if server.reads_markup {
        return Cow::Owned(escape_markup(&text).into_owned());
    }
    text
}

fn actions<'a>(notification: &'a Notification, server: &Server) -> Vec<&'a str> {
    if !server.has_buttons {
        return Vec::new();
    }
    let buttons = notification.buttons.iter();
    buttons
        .flat_map(|button| [&*button.key, &*button.label])
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use airunner_core::notification::{NewNotification, NotificationId, NotificationKind};

    use super::*;

    fn notification() -> Notification {
        let made = NewNotification::new(NotificationKind::WorkerCrashed, "<i>x</i>", "a < b");
        let buttons = [("load", "Load again")];
        Notification::waiting(NotificationId(12), &made, &buttons, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn it_is_written_as_the_desktop_reads_it() {
        for (has_buttons, reads_markup, expected, buttons) in [
            (true, true, "a &lt; b", vec!["load", "Load again"]),
            (true, false, "a < b", vec!["load", "Load again"]),
            (false, false, "a < b\nairunner notify act 12 load", vec![]),
            (false, true, "a &lt; b\nairunner notify act 12 load", vec![]),
        ] {
            let server = Server {
                name: ":1.1".into(),
                has_buttons,
                reads_markup,
            };
            let notification = notification();
            assert_eq!(body(&notification, &server, true), expected);
            assert_eq!(actions(&notification, &server), buttons);
            let plain = expected.lines().next().unwrap_or_default();
            assert_eq!(body(&notification, &server, false), plain);
        }
    }
}
