//! The tray in the notification area of Wine's desktop. Its menu is not to be had there: Wine does not
//! say where an icon is (`Shell_NotifyIconGetRect`), and without that none is opened.

use airunner_tests::{Wine, eventually, eventually_ok};

use crate::installed::Windows;

/// What an icon takes of the corner at the bottom right.
const ICON: (usize, usize) = (20, 18);
const TRAY: &str = "airunner-tray.exe";

type Corner = Vec<[u8; 3]>;

/// An icon has many colours, the desktop without one has few.
const COLOURS: usize = 4;

/// The icon of the notification area, once it is one that is wanted and stays the same from one look to
/// the next, so that none is taken for one that is being drawn.
async fn icon(wine: &Wine, what: &str, wanted: impl Fn(&Corner) -> bool) -> Corner {
    let mut before = Corner::new();
    eventually_ok(what, async || {
        let corner = wine.picture().await.corner(ICON.0, ICON.1);
        let is_drawn = corner == before && colours(&corner) > COLOURS;
        before.clone_from(&corner);
        if is_drawn && wanted(&corner) {
            Ok(corner)
        } else {
            Err(colours(&before))
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
    let stopped = icon(wine, "an icon is there", |_| true).await;

    let second = wine.run(&tray, []).await;
    assert_eq!(second.code, 1, "{second:?}");
    assert!(second.stderr.contains("runs already"), "{second:?}");

    windows.airunner(["start"]).await.succeeded();
    icon(wine, "the icon says that the daemon runs", |icon| {
        *icon != stopped
    })
    .await;
    windows.airunner(["stop"]).await.succeeded();
    icon(wine, "the icon says that the daemon is gone", |icon| {
        *icon == stopped
    })
    .await;

    assert_eq!(wine.processes(TRAY).len(), 1);
    windows.uninstall().await;
    wine.until_gone(TRAY).await;
    eventually("the program is gone", async || !tray.exists()).await;
}
