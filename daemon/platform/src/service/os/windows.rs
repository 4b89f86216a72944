use std::path::PathBuf;
use std::time::SystemTime;

use directories::BaseDirs;

use super::status::Manager;

#[expect(clippy::unnecessary_wraps, reason = "other systems may have none")]
pub(super) const fn manager() -> Result<Manager, &'static str> {
    Ok(Manager::TaskScheduler)
}

/// Where the description of the task is kept, to see later whether it was changed.
pub(super) fn units(base: &BaseDirs) -> PathBuf {
    base.data_local_dir().join("airunner").join("service")
}

/// Only its name is used: what starts with the desktop is in the registry.
pub(super) fn autostart(base: &BaseDirs) -> PathBuf {
    units(base)
}

/// With the domain, as the task scheduler wants it.
pub(super) fn user() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "Windows tells a process its user this way"
    )]
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USERNAME")?;
    Some(variable("USERDOMAIN").map_or_else(|| user.clone(), |domain| format!("{domain}\\{user}")))
}

/// Only systemd tells times like this.
pub(super) const fn since_boot(_microseconds: u64) -> Option<SystemTime> {
    None
}
