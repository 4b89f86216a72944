//! The place for icons comes, goes and restarts, and so does the bus it is on.

use airunner_tests::desktop::{SessionBus, Watcher};
use airunner_tests::{Daemon, eventually};

use crate::support::{Scene, Tray, opened};

#[tokio::test]
async fn without_a_place_it_is_said_once_and_the_page_is_opened_instead() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let daemon = Daemon::start().await;
    let tray = Tray::start(&daemon.home, &bus);
    eventually("the page is opened", async || {
        opened(&daemon.home).trim_end().ends_with("/docs")
    })
    .await;
    // It goes on, and a place that comes later gets the icon.
    for _ in 0..2 {
        let mut watcher = Watcher::start(&bus).await;
        watcher.first().await.until("(Idle)").await;
        watcher.end().await;
    }
    let mut watcher = Watcher::start(&bus).await;
    watcher.first().await.until("(Idle)").await;
    let words = tray.words();
    assert_eq!(words.matches("no place for tray icons").count(), 1, "{words}");
    assert_eq!(opened(&daemon.home).lines().count(), 1);
}

#[tokio::test]
async fn a_bus_that_restarts_gets_the_icon_again() {
    let Some(mut scene) = Scene::with(&[]).await else {
        return;
    };
    for _ in 0..2 {
        scene.bus.end().await;
        scene.bus.start_again().await;
        let mut watcher = Watcher::start(&scene.bus).await;
        let menu = watcher.first().await;
        menu.until("(Idle)").await;
        scene.watcher = watcher;
    }
    let words = scene.tray.words();
    assert_eq!(words, "");
}
