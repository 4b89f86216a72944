//! Having the desktop show a file, a directory or a page with the program it has for that.

use std::ffi::OsStr;
use std::process::Stdio;

use airunner_core::{ErrorKind, Fault};
use tokio::process::Command;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
use macos as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

use crate::exit;

/// Returns when the program has taken over, or has ended. The target is a path or a URL; it is
/// passed on as one argument and no shell sees it.
pub async fn open(target: &OsStr) -> Result<(), Fault> {
    let mut command = Command::from(os::command(target));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let shown = target.to_string_lossy();
    let cannot = |why: String| {
        Fault::new(
            ErrorKind::Unavailable,
            format!("{shown} could not be opened: {why}; open it by hand"),
        )
    };
    let status = command
        .status()
        .await
        .map_err(|error| cannot(error.to_string()))?;
    if os::has_succeeded(status) {
        return Ok(());
    }
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    Err(cannot(format!("{program} {}", exit::describe(status))))
}
