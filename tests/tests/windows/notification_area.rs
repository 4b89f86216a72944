//! The tray in the notification area of Wine's desktop. Its menu is not to be had there: Wine does not
//! say where an icon is (`Shell_NotifyIconGetRect`), and without that none is opened.

use airunner_tests::{Wine, eventually, eventually_ok};

use crate::installed::Windows;

/// What an icon takes of the corner at the bottom right.
const ICON: (usize, usize) = (20, 18);
const TRAY: &str = "airunner-tray.exe";

/// What the notification area shows, once it is something else than this.
async fn changed_from(wine: &Wine, before: &[[u8; 3]], what: &str) -> Vec<[u8; 3]> {
    eventually_ok(what, async || {
        let corner = wine.picture().await.corner(ICON.0, ICON.1);
        if corner == before {
            Err("the same")
        } else {
            Ok(corner)
        }
    })
    .await
}

fn colours(corner: &[[u8; 3]]) -> usize {
    let mut colours = corner.to_vec();
    colours.sort_unstable();
    colours.dedup();
    colours.len()
}

#[tokio::test]
async fn the_icon_follows_the_daemon_and_goes_with_its_program() {
    let Some(programs) = Wine::programs() else { return };
    let windows = Windows::with(&programs).await;
    let wine = &windows.wine;
    let tray = windows.program(TRAY);
    let _desktop = wine.on_desktop(&tray);
    // The desktop's own colour, and then an icon, which has many.
    let stopped = eventually_ok("an icon is there", async || {
        let corner = wine.picture().await.corner(ICON.0, ICON.1);
        if colours(&corner) > 4 {
            Ok(corner)
        } else {
            Err(colours(&corner))
        }
    })
    .await;

    let second = wine.run(&tray, []).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("runs already"), "{second:?}");

    windows.airunner(["start"]).await.succeeded();
    let idle = changed_from(wine, &stopped, "the icon says that the daemon runs").await;
    windows.airunner(["stop"]).await.succeeded();
    let again = changed_from(wine, &idle, "the icon says that the daemon is gone").await;
    assert!(colours(&again) > 4, "an icon is still there");

    assert_eq!(wine.processes(TRAY).len(), 1);
    windows.uninstall().await;
    wine.until_gone(TRAY).await;
    eventually("the program is gone", async || !tray.exists()).await;
}
