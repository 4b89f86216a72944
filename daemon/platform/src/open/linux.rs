use std::ffi::OsStr;
use std::process::{Command, ExitStatus};

use std::os::unix::process::CommandExt as _;

/// What it starts belongs to the desktop and not to the process group of this program.
pub(super) fn command(target: &OsStr) -> Command {
    let mut command = Command::new("xdg-open");
    command.arg(target).process_group(0);
    command
}

pub(super) fn has_succeeded(status: ExitStatus) -> bool {
    status.success()
}
