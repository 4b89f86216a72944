//! The daemon comes, goes and crashes; the tray stays and says so.

use airunner_tests::desktop::{SessionBus, Watcher};
use airunner_tests::{Daemon, Home, eventually, is_alive, send_signal};

use crate::support::{Scene, Tray};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[tokio::test]
async fn a_click_starts_the_daemon_and_another_ends_both() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let home = Home::new();
    let mut watcher = Watcher::start(&bus).await;
    let tray = Tray::start(&home, &bus);
    let menu = watcher.first().await;
    let text = menu.until("(Daemon is not running)").await;
    assert!(!text.contains("Free memory"), "{text}");
    menu.click(&["Start the daemon"]).await;
    menu.until("(Idle)").await;
    let status = home.cli().json(&["status"]).await;
    let daemon = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    menu.click(&["Stop the daemon and quit"]).await;
    let (status, words) = tray.ended().await;
    assert!(status.success(), "{status}: {words}");
    assert!(!is_alive(daemon));
}

#[tokio::test]
async fn a_daemon_that_is_started_with_the_tray_goes_on_without_it() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let home = Home::new();
    let mut watcher = Watcher::start(&bus).await;
    let tray = Tray::start_with(&home, &bus, &["--start"]);
    let menu = watcher.first().await;
    menu.until("(Idle)").await;
    menu.click(&["Quit tray"]).await;
    assert!(tray.ended().await.0.success());
    home.cli().run(&["stop"]).await.succeeded();
}

#[tokio::test]
async fn a_daemon_that_is_killed_and_started_again_is_noticed_both_times() {
    let Some(mut scene) = Scene::with(&[]).await else {
        return;
    };
    for _ in 0..2 {
        scene.daemon.end_by(SIGKILL).await;
        scene.menu.until("(Daemon is not running)").await;
        scene.daemon.start_again().await;
        scene.menu.until("(Idle)").await;
    }
    assert_eq!(scene.watcher.items().len(), 1, "the icon itself has stayed");
    scene.daemon.end_by(SIGTERM).await;
    scene.menu.until("(Daemon is not running)").await;
}

#[tokio::test]
async fn a_daemon_that_cannot_be_started_is_a_trouble_with_its_reason() {
    let Some(bus) = SessionBus::bare().await else {
        return;
    };
    let home = Home::new();
    home.configure("nonsense = true\n");
    let mut watcher = Watcher::start(&bus).await;
    let _tray = Tray::start(&home, &bus);
    let menu = watcher.first().await;
    menu.click(&["Start the daemon"]).await;
    let text = menu.until("Needs attention (1)").await;
    assert!(text.contains("nonsense"), "{text}");
}

#[tokio::test]
async fn a_signal_takes_the_icon_away() {
    let Some(scene) = Scene::with(&[]).await else {
        return;
    };
    send_signal(scene.tray.pid(), SIGTERM);
    let (status, words) = scene.tray.ended().await;
    assert!(status.success(), "{status}: {words}");
    eventually("the icon is gone from the bus", async || {
        scene.menu.text().await.is_err()
    })
    .await;
    let log = std::fs::read_to_string(scene.daemon.home.path().join("state/airunner-tray.log")).unwrap();
    assert!(log.contains("SIGTERM"), "{log}");
    let daemon: Daemon = scene.daemon;
    daemon.stop().await;
}
