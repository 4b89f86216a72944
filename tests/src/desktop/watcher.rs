//! A place for tray icons that only writes down who comes.

use tokio::sync::watch;
use zbus::Connection;
use zbus::message::Header;

use super::SessionBus;
use super::menu::TrayMenu;
use crate::wait::PATIENCE;

const NAME: &str = "org.kde.StatusNotifierWatcher";

/// Owns the name under which desktops take icons, as long as it lives.
pub struct Watcher {
    connection: Connection,
    items: watch::Receiver<Vec<String>>,
}

struct Registry {
    items: watch::Sender<Vec<String>>,
}

#[zbus::interface(name = "org.kde.StatusNotifierWatcher")]
impl Registry {
    fn register_status_notifier_item(&self, service: &str, #[zbus(header)] header: Header<'_>) {
        // Some name themselves, some only a path.
        let name = if service.starts_with('/') {
            header.sender().map(ToString::to_string).unwrap_or_default()
        } else {
            service.to_owned()
        };
        self.items.send_modify(|items| items.push(name));
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

impl Watcher {
    pub async fn start(bus: &SessionBus) -> Self {
        let (sender, items) = watch::channel(Vec::new());
        let connection = zbus::connection::Builder::address(bus.address().as_str())
            .serve_at("/StatusNotifierWatcher", Registry { items: sender })
            .name(NAME)
            .build()
            .await
            .expect("the session bus answers");
        Self { connection, items }
    }

    /// Everybody who came so far.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        self.items.borrow().clone()
    }

    /// The menu of the first icon that comes.
    pub async fn first(&mut self) -> TrayMenu {
        let items = self.items.wait_for(|items| !items.is_empty());
        let name = tokio::time::timeout(PATIENCE, items)
            .await
            .expect("an icon comes")
            .expect("the watcher lives")[0]
            .clone();
        TrayMenu::new(self.connection.clone(), name)
    }

    /// Gives the place up.
    pub async fn end(self) {
        self.connection.close().await.expect("the bus lives");
    }
}
