use std::ffi::OsStr;
use std::process::{Command, ExitStatus};

pub(super) fn command(target: &OsStr) -> Command {
    let mut command = Command::new("/usr/bin/open");
    command.arg(target);
    command
}

pub(super) fn has_succeeded(status: ExitStatus) -> bool {
    status.success()
}
