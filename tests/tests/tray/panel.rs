//! A true panel on a screen that nobody sees: the icon is there in every state, the menu opens
//! under the mouse, and a panel that crashes and comes back has the icon again. The pictures are
//! left in the build directory; `docs/images/tray.sh` takes them into the documentation.

use std::path::{Path, PathBuf};

use airunner_tests::desktop::{Picture, Screen, Theme};
use airunner_tests::{Daemon, FakeModel, Gate, eventually, send_signal};

use crate::support::{Tray, decide_about_login};

const SIGKILL: i32 = 9;
/// Colours of the icons, as `tray/icons` has them.
const IDLE: [u8; 3] = [0x6b, 0x7f, 0xa0];
const WORKING: [u8; 3] = [0x16, 0xa3, 0x4a];
const LOADING: [u8; 3] = [0x3b, 0x82, 0xf6];
const WARNING: [u8; 3] = [0xf7, 0xa6, 0x14];
const PAUSED: [u8; 3] = [0x8b, 0x5c, 0xf6];
const STOPPED: [u8; 3] = [0x8a, 0x8a, 0x8a];
/// Pixels of an icon's own colour at the least.
const ENOUGH: usize = 25;
/// Pictures until what was pressed is pressed again.
const LOOKS: usize = 20;

struct Tour {
    screen: Screen,
    folder: PathBuf,
}

impl Tour {
    async fn start(theme: Theme) -> Option<Self> {
        let screen = Screen::start(theme).await?;
        let name = match theme {
            Theme::Light => "light",
            Theme::Dark => "dark",
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tray").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Some(Self { screen, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.png"))
    }

    /// Waits for the icon and returns where it is.
    async fn icon(&self, name: &str, colour: [u8; 3]) -> (u32, u32) {
        let enough = |picture: &Picture| picture.in_panel(colour).is_some_and(|(count, _)| count >= ENOUGH);
        let what = format!("the icon {name} is in the panel");
        let picture = self.screen.until(&what, &self.file(name), enough).await;
        picture.in_panel(colour).unwrap().1
    }

    /// Opens the menu of an icon with the mouse. A panel that has just taken an icon may not hear
    /// the mouse yet: then it is pressed again.
    async fn open(&self, name: &str, (x, y): (u32, u32)) {
        eventually(&format!("the menu opens: {name}"), async || {
            self.screen.press(x, y, 3).await;
            // So that no tooltip covers the menu.
            self.screen.move_pointer(600, 400).await;
            self.shows(name, |picture| picture.below_panel() > 0.05).await
        })
        .await;
    }

    async fn close(&self, name: &str) {
        eventually(&format!("the menu closes: {name}"), async || {
            self.screen.key("Escape").await;
            self.shows("closed", |picture| picture.below_panel() < 0.01).await
        })
        .await;
    }

    /// Whether one of the next pictures is like this.
    async fn shows(&self, name: &str, wanted: impl Fn(&Picture) -> bool) -> bool {
        for _ in 0..LOOKS {
            if wanted(&self.screen.picture(&self.file(name)).await) {
                return true;
            }
        }
        false
    }

    /// Waits for the icon, opens its menu with the mouse, takes a picture and closes it.
    async fn menu(&self, name: &str, colour: [u8; 3]) {
        let icon = self.icon(name, colour).await;
        self.open(name, icon).await;
        self.close(name).await;
    }
}

async fn every_state(theme: Theme) {
    let Some(tour) = Tour::start(theme).await else {
        return;
    };
    let gate = Gate::new();
    let slow = FakeModel::new("slow")
        .speaks(&["word "; 2])
        .loads_behind(&gate)
        .hangs_after(1);
    let mut daemon = Daemon::with_models(&[slow, FakeModel::new("tiny")]).await;
    let cli = daemon.home.cli();
    decide_about_login(&daemon.home);
    cli.run(&["load", "tiny", "--pin"]).await.succeeded();
    let _tray = Tray::start(&daemon.home, &tour.screen.bus);
    tour.menu("idle", IDLE).await;
    cli.run(&["pause"]).await.succeeded();
    tour.menu("paused", PAUSED).await;
    cli.run(&["resume"]).await.succeeded();
    cli.run(&["load", "tiny", "--pin"]).await.succeeded();
    let chat = cli.spawn(&["chat", "slow", "Well?", "--json"]);
    tour.menu("loading", LOADING).await;
    gate.open();
    tour.menu("working", WORKING).await;
    let worker = daemon.ps("slow").await.unwrap()["pid"].as_u64().unwrap();
    send_signal(u32::try_from(worker).unwrap(), SIGKILL);
    tour.menu("warning", WARNING).await;
    drop(chat);
    daemon.end_by(SIGKILL).await;
    tour.menu("stopped", STOPPED).await;
}

#[tokio::test]
async fn every_state_is_to_be_seen_in_a_light_panel() {
    every_state(Theme::Light).await;
}

#[tokio::test]
async fn every_state_is_to_be_seen_in_a_dark_panel() {
    every_state(Theme::Dark).await;
}

#[tokio::test]
async fn a_panel_that_crashes_and_comes_back_has_the_icon_again_and_the_mouse_loads_a_model() {
    let Some(mut tour) = Tour::start(Theme::Light).await else {
        return;
    };
    let daemon = Daemon::with_models(&[FakeModel::new("a-first")]).await;
    decide_about_login(&daemon.home);
    let _tray = Tray::start(&daemon.home, &tour.screen.bus);
    tour.icon("before", IDLE).await;
    tour.screen.end_panel().await;
    tour.screen.start_panel().await;
    let icon = tour.icon("after", IDLE).await;
    eventually("the model is loaded", async || {
        tour.open("after", icon).await;
        // The line of the status cannot be chosen, so the first that can is the model; its first
        // that can is to load it.
        for key in ["Down", "Right", "Return"] {
            tour.screen.key(key).await;
        }
        tour.close("after").await;
        for _ in 0..LOOKS {
            if daemon.ps("a-first").await.is_some() {
                return true;
            }
        }
        false
    })
    .await;
    daemon.until_state("a-first", Some("LOADED")).await;
}
