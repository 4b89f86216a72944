//! Whether the daemon that runs is the one that is installed.

use airunner_core::status::DaemonStatus;

use crate::system;

/// What is different about it; a restart makes it the installed one.
pub(crate) fn outdated(status: &DaemonStatus) -> Option<String> {
    different(
        status,
        env!("CARGO_PKG_VERSION"),
        system::program_was_replaced(status.pid),
    )
}

pub(crate) fn different(status: &DaemonStatus, mine: &str, replaced: bool) -> Option<String> {
    if status.daemon_version != mine {
        Some(format!(
            "the daemon is {} and this command {mine}",
            status.daemon_version
        ))
    } else if replaced {
        Some("the daemon that runs is the one from before an upgrade".to_owned())
    } else {
        None
    }
}
