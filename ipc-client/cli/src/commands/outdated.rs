//! Whether the daemon that runs is the one that is installed.

use airunner_core::status::DaemonStatus;
use airunner_platform::process;

/// What is different about it; a restart makes it the installed one.
pub(crate) fn outdated(status: &DaemonStatus) -> Option<String> {
    let replaced = process::program_was_replaced(status.pid);
    status.difference(env!("CARGO_PKG_VERSION"), replaced)
}
