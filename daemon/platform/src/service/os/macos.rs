use std::path::PathBuf;
use std::time::SystemTime;

use directories::BaseDirs;

use super::status::Manager;

#[expect(clippy::unnecessary_wraps, reason = "other systems may have none")]
pub(super) const fn manager() -> Result<Manager, &'static str> {
    Ok(Manager::Launchd)
}

pub(super) fn units(base: &BaseDirs) -> PathBuf {
    base.home_dir().join("Library/LaunchAgents")
}

/// The same: what starts with the desktop is an agent too.
pub(super) fn autostart(base: &BaseDirs) -> PathBuf {
    units(base)
}

pub(super) fn user() -> Option<String> {
    Some(rustix::process::geteuid().as_raw().to_string())
}

/// Only systemd tells times like this.
pub(super) const fn since_boot(_microseconds: u64) -> Option<SystemTime> {
    None
}
