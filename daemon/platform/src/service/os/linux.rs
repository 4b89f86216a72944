use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use directories::BaseDirs;

use super::status::Manager;

/// Made by systemd where it runs the machine.
const BOOTED: &str = "/run/systemd/system";
const NO_SYSTEMD: &str = "this system is not run by systemd, so there is no service manager for users: start AI Runner \
    with \"airunner start\", and put that line where your desktop or shell starts programs";

pub(super) fn manager() -> Result<Manager, &'static str> {
    if Path::new(BOOTED).is_dir() {
        Ok(Manager::Systemd)
    } else {
        Err(NO_SYSTEMD)
    }
}

pub(super) fn units(base: &BaseDirs) -> PathBuf {
    base.config_dir().join("systemd/user")
}

pub(super) fn autostart(base: &BaseDirs) -> PathBuf {
    base.config_dir().join("autostart")
}

pub(super) fn user() -> Option<String> {
    Some(rustix::process::geteuid().as_raw().to_string())
}

/// The time at which the machine had been up so many microseconds, without those it slept. A
/// clock that was set meanwhile does not matter.
pub(super) fn since_boot(microseconds: u64) -> Option<SystemTime> {
    let awake = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(awake.tv_sec).ok()?;
    let awake = Duration::new(seconds, u32::try_from(awake.tv_nsec).ok()?);
    let age = awake.checked_sub(Duration::from_micros(microseconds))?;
    SystemTime::now().checked_sub(age)
}
