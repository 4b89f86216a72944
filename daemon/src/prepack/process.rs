//! The process that makes a copy, seen from the daemon.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use airunner_platform::{child, exit};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::options::PrepackArguments;
use crate::workers::{forward_log, keep_secrets};

/// What a process may say at its end, bytes.
const LONGEST_MESSAGE: u64 = 64 << 10;

/// The largest model on a slow disk takes a few minutes; what takes this long hangs.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Runs to its end, or until patience ends. Dropping the future kills the process.
pub(super) async fn make(executable: &Path, arguments: &PrepackArguments) -> Result<(), Fault> {
    patiently(run(executable, arguments)).await
}

async fn patiently(running: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let ended = tokio::time::timeout(PATIENCE, running).await;
    ended.unwrap_or_else(|_| {
        let message = format!(
            "the process took more than {} minutes and was ended",
            PATIENCE.as_secs() / 60
        );
        Err(Fault::new(ErrorKind::DeadlineExceeded, message))
    })
}

async fn run(executable: &Path, arguments: &PrepackArguments) -> Result<(), Fault> {
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
    keep_secrets(&mut command);
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

    #[tokio::test(start_paused = true)]
    async fn a_process_that_hangs_is_given_up() {
        let fault = patiently(std::future::pending()).await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::DeadlineExceeded);
        patiently(std::future::ready(Ok(()))).await.unwrap();
    }

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
