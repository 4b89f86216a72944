//! The process that makes a copy, seen from the daemon.

use std::path::Path;
use std::process::Stdio;

use airunner_core::{ErrorKind, Fault};
use airunner_platform::{child, exit};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::options::PrepackArguments;
use crate::workers::forward_log;

/// What a process may say at its end, bytes.
const LONGEST_MESSAGE: u64 = 64 << 10;

/// Runs to its end. Dropping the future kills the process.
pub(super) async fn make(executable: &Path, arguments: &PrepackArguments) -> Result<(), Fault> {
    let mut process = start(executable, arguments)?;
    // Open as long as the process is wanted: it ends when this closes.
    let _stdin = process.stdin.take();
    if let (Some(stderr), Ok(model), Some(pid)) = (
        process.stderr.take(),
        airunner_core::ModelName::new(&arguments.model),
        process.id(),
    ) {
        tokio::spawn(forward_log(stderr, model, pid));
    }
    let mut said = Vec::new();
    if let Some(stdout) = process.stdout.take() {
        let read = stdout.take(LONGEST_MESSAGE).read_to_end(&mut said).await;
        read.map_err(|error| Fault::internal(format!("cannot hear the process: {error}")))?;
    }
    let status = process.wait().await;
    let status = status.map_err(|error| Fault::internal(format!("cannot watch the process: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(understood(&String::from_utf8_lossy(&said)).unwrap_or_else(|| {
        let how = exit::describe(status);
        Fault::new(ErrorKind::WorkerCrashed, format!("the process {how}"))
    }))
}

fn start(executable: &Path, arguments: &PrepackArguments) -> Result<Child, Fault> {
    let mut command = Command::new(executable);
    command
        .args(arguments.to_line())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    child::shield_from_terminal(&mut command);
    command
        .spawn()
        .map_err(|error| Fault::internal(format!("cannot start {}: {error}", executable.display())))
}

fn understood(said: &str) -> Option<Fault> {
    let (kind, message) = said.trim().split_once(' ')?;
    Some(Fault::new(ErrorKind::from_reason(kind)?, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_understood() {
        let fault = understood("disk_full the disk is full\n").unwrap();
        assert_eq!(
            (fault.kind, fault.message.as_str()),
            (ErrorKind::DiskFull, "the disk is full")
        );
        assert_eq!(understood("thread panicked at"), None);
        assert_eq!(understood(""), None);
    }
}
