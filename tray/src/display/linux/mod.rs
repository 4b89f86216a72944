//! Linux: a StatusNotifierItem with a dbusmenu on the session bus. No toolkit and no thread of
//! its own; several sizes of the icon, which the desktop chooses from.

mod bus;
mod item;

use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};
use ksni::TrayMethods as _;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::controller::Input;
use crate::view::View;
use item::Item;

/// A bus that was there and is gone is waited for this long: a bus that restarts comes back at
/// once, and one whose session has ended never.
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// The icon and its menu.
#[derive(Debug)]
pub(crate) struct Display {
    views: watch::Sender<Option<View>>,
}

/// Nothing has to be passed on here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage;

/// Calls the tray's own work on this thread.
#[expect(clippy::unnecessary_wraps, reason = "other systems may refuse")]
pub(crate) fn run<T>(work: impl FnOnce(Stage) -> T) -> Result<T, Fault> {
    Ok(work(Stage))
}

impl Display {
    /// Shows nothing before the first view. What the user does, and what becomes of the place
    /// for icons, comes as inputs. Must be called within a tokio runtime.
    pub(crate) fn new(_stage: Stage, inputs: mpsc::Sender<Input>, in_background: bool) -> Self {
        let (views, shown) = watch::channel(None);
        tokio::spawn(async move {
            let Err(fault) = keep_showing(shown, &inputs, in_background).await;
            // Without a receiver the tray has ended.
            drop(inputs.send(Input::Lost(fault)).await);
        });
        Self { views }
    }

    pub(crate) fn show(&mut self, view: &View) {
        self.views.send_replace(Some(view.clone()));
    }
}

/// Shows views as long as there is a session bus, also over its restart.
async fn keep_showing(
    mut views: watch::Receiver<Option<View>>,
    inputs: &mpsc::Sender<Input>,
    in_background: bool,
) -> Result<std::convert::Infallible, Fault> {
    let mut bus = bus::Bus::connect().await.map_err(|error| no_bus(&error))?;
    loop {
        let mut icon = None;
        tokio::select! {
            // Ends only with the bus.
            () = bus.follow_hosts(inputs, in_background) => {}
            Err(fault) = show(&mut views, inputs, &mut icon) => return Err(fault),
        }
        tracing::warn!("the session bus is gone");
        if let Some(icon) = icon {
            // What serves it does not notice by itself that its bus is gone.
            icon.shutdown().await;
        }
        bus = connect_again().await?;
        tracing::info!("the session bus is back");
    }
}

/// Shows the views on one bus; an error if even that bus does not take an icon. It never returns
/// otherwise.
async fn show(
    views: &mut watch::Receiver<Option<View>>,
    inputs: &mpsc::Sender<Input>,
    icon: &mut Option<ksni::Handle<Item>>,
) -> Result<std::convert::Infallible, Fault> {
    let first = views
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|view| view.clone());
    let Some(first) = first else {
        return std::future::pending().await;
    };
    let item = Item::new(first, inputs.clone());
    // There may be no place for icons yet; the bus is asked about that separately.
    let spawned = item.assume_sni_available(true).spawn().await;
    let handle = spawned.map_err(|error| {
        Fault::new(
            ErrorKind::Unavailable,
            format!("cannot offer a tray icon: {}", error::chain(&error)),
        )
    })?;
    let handle = icon.insert(handle);
    while views.changed().await.is_ok() {
        let view = views.borrow_and_update().clone();
        if let Some(view) = view {
            handle.update(|item| item.set(view)).await;
        }
    }
    std::future::pending().await
}

async fn connect_again() -> Result<bus::Bus, Fault> {
    let end = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match bus::Bus::connect().await {
            Ok(bus) => return Ok(bus),
            Err(error) if Instant::now() >= end => return Err(no_bus(&error)),
            Err(_) => {}
        }
    }
}

fn no_bus(error: &zbus::Error) -> Fault {
    Fault::new(
        ErrorKind::Unavailable,
        format!(
            "there is no desktop session to show a tray icon in: {}; the command airunner works without one",
            error::chain(error)
        ),
    )
}
