//! A desktop for tests: a session bus of its own, a place for tray icons on it, and if a test
//! wants to see something a screen with a panel. Nothing of the machine's own desktop is used.

mod bus;
mod menu;
mod screen;
mod watcher;

pub use bus::SessionBus;
pub use menu::{MenuLine, TrayMenu};
pub(crate) use screen::{HEIGHT, WIDTH, server};
pub use screen::{Picture, Screen, Theme};
pub use watcher::Watcher;

use std::path::PathBuf;

/// A program of the search path.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    crate::binaries::search_path()
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// True if every one of these programs is there; otherwise says loudly that a test cannot run.
#[must_use]
#[expect(clippy::print_stderr, reason = "a test that does not run has to say so")]
pub fn have_programs(names: &[&str]) -> bool {
    let missing: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| find_program(name).is_none())
        .collect();
    if missing.is_empty() {
        return true;
    }
    eprintln!(
        "SKIPPED: {} not installed: run `cargo xtask setup`",
        missing.join(", ")
    );
    false
}
