use std::ffi::OsStr;
use std::process::{Command, ExitStatus};

pub(super) fn command(target: &OsStr) -> Command {
    let mut command = Command::new("explorer.exe");
    command.arg(target);
    command
}

/// Explorer ends with code 1 when it has handed the target to a program.
pub(super) fn has_succeeded(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 1))
}
