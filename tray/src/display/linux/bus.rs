//! The session bus: whether it lives, and whether somebody on it shows icons.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use zbus::Connection;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::names::BusName;

use crate::controller::{Host, Input};

/// Who takes icons, whatever the desktop.
const WATCHER: &str = "org.kde.StatusNotifierWatcher";
/// A panel that restarts is back within this time.
const PATIENCE: Duration = Duration::from_secs(2);
/// At login the panel may be slower than the tray.
const PATIENCE_IN_BACKGROUND: Duration = Duration::from_secs(20);

/// A connection of its own, so that its end is noticed.
pub(super) struct Bus {
    changes: NameOwnerChangedStream,
    host: Host,
    _connection: Connection,
}

impl Bus {
    pub(super) async fn connect() -> zbus::Result<Self> {
        let connection = Connection::session().await?;
        let proxy = DBusProxy::new(&connection).await?;
        // Subscribed first and then asked, so that nothing falls between.
        let changes = proxy
            .receive_name_owner_changed_with_args(&[(0, WATCHER)])
            .await?;
        let present = proxy.name_has_owner(BusName::try_from(WATCHER)?).await?;
        Ok(Self {
            changes,
            host: if present { Host::Present } else { Host::Absent },
            _connection: connection,
        })
    }

    /// Reports whether icons are shown, and each change of that. Returns when the bus is gone.
    pub(super) async fn follow_hosts(&mut self, inputs: &mpsc::Sender<Input>, in_background: bool) {
        let patience = if in_background {
            PATIENCE_IN_BACKGROUND
        } else {
            PATIENCE
        };
        loop {
            let mut grace = pin!(tokio::time::sleep(patience));
            if self.host == Host::Present {
                drop(inputs.send(Input::Host(Host::Present)).await);
            }
            let mut told = self.host == Host::Present;
            let change = loop {
                tokio::select! {
                    change = self.changes.next() => break change,
                    () = &mut grace, if !told => {
                        told = true;
                        drop(inputs.send(Input::Host(Host::Absent)).await);
                    }
                }
            };
            let Some(change) = change else { return };
            let Ok(arguments) = change.args() else { continue };
            self.host = if arguments.new_owner.is_some() {
                Host::Present
            } else {
                Host::Absent
            };
            tracing::info!(host = ?self.host, "the place for tray icons has changed");
        }
    }
}
