//! What the tests of the tray use: a session bus, a screen that nobody sees, and a panel. They
//! are left out where it is missing, so nobody has to be root to run the others.

use super::system::{self, Tool};
use crate::say;

const TOOLS: [Tool; 6] = [
    ("dbus-daemon", "dbus-x11"),
    ("Xvfb", "xvfb"),
    ("openbox", "openbox"),
    ("xfce4-panel", "xfce4-panel"),
    ("xdotool", "xdotool"),
    ("import", "imagemagick"),
];

pub(super) fn stage() -> anyhow::Result<()> {
    match system::missing(&TOOLS) {
        missing if missing.is_empty() => Ok(()),
        mut missing if system::can_install() => {
            // Without icons of a theme the panel draws its own as missing.
            missing.push("adwaita-icon-theme");
            system::install("what tests the tray", &missing)
        }
        missing => {
            say::note(&format!(
                "tests of the tray in a panel are left out: they take {}",
                missing.join(", ")
            ));
            Ok(())
        }
    }
}
