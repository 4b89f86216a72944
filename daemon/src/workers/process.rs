//! One operating-system process of a worker.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, ModelName};
use airunner_platform::{ChildLimits, Endpoint, child, exit, io_error, supervision};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::config::LogLevel;
use crate::worker::arguments;

/// Longest line of a worker's log that is forwarded, bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// What the daemon may hold of its user's accounts: nothing that reads models needs them.
const SECRETS: [&str; 2] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"];

/// A running worker. Dropping it kills the process.
pub(super) struct Process {
    child: Child,
    /// Closing it asks the worker to end; the worker also sees it closed when this process dies.
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    pub(super) pid: u32,
}

impl Process {
    pub(super) fn start(
        executable: &Path,
        endpoint: &Endpoint,
        limits: &ChildLimits,
        level: LogLevel,
        model: &ModelName,
    ) -> Result<Self, Fault> {
        let mut command = Command::new(executable);
        command
            .args(arguments(endpoint, limits, level))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        keep_secrets(&mut command);
        child::shield_from_terminal(&mut command);
        let mut child = command.spawn().map_err(|error| {
            let message = format!(
                "cannot start the worker process {}: {error}",
                executable.display()
            );
            Fault::new(io_error::kind_of(&error), message)
        })?;
        let pid = child.id().unwrap_or(0);
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(forward_log(stderr, model.clone(), pid));
        }
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        Ok(Self {
            child,
            stdin,
            stdout,
            pid,
        })
    }

    /// Waits until the worker says that it listens; false if it ends without that.
    pub(super) async fn is_ready(&mut self) -> bool {
        // Closed afterwards: a library that prints must not fill a pipe nobody reads.
        let Some(mut stdout) = self.stdout.take() else {
            return false;
        };
        stdout.read_u8().await.is_ok()
    }

    /// The worker's end, whenever it comes. May be dropped and asked again.
    pub(super) async fn ended(&mut self) -> Fault {
        match self.child.wait().await {
            Ok(status) => died(status),
            Err(error) => Fault::new(
                ErrorKind::WorkerCrashed,
                format!("cannot watch the worker: {error}"),
            ),
        }
    }

    /// Asks it to end, waits for a while, kills, and waits until it is gone.
    pub(super) async fn stop(mut self, patience: Duration) -> String {
        drop(self.stdin.take());
        if let Ok(Ok(status)) = tokio::time::timeout(patience, self.child.wait()).await {
            return exit::describe(status);
        }
        self.kill().await;
        format!("did not end within {} s and was ended", patience.as_secs())
    }

    /// Kills it and waits until it is gone.
    pub(super) async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            tracing::debug!(pid = self.pid, %error, "the worker is gone already");
        }
    }
}

/// Published builds of ONNX Runtime report events to their maker unless this is set before they
/// begin: switching it off through their interface comes after the first one.
const SILENCE: (&str, &str) = ("ORT_DISABLE_TELEMETRY", "1");

/// Starts the process without the user's tokens, without what the service manager gave to this
/// one alone, and without anything that tells others of it.
pub(crate) fn keep_secrets(command: &mut Command) {
    for name in SECRETS.into_iter().chain(supervision::ENDOWMENT) {
        command.env_remove(name);
    }
    command.env(SILENCE.0, SILENCE.1);
}

fn died(status: ExitStatus) -> Fault {
    let how = exit::describe(status);
    let fault = Fault::new(
        ErrorKind::WorkerCrashed,
        format!("the model's worker process {how}; \"airunner logs\" shows what it said"),
    );
    match exit::signal(status) {
        Some(signal) => fault.figure("signal", signal),
        None => fault,
    }
}

/// Puts a worker's log lines into the daemon's log.
pub(crate) async fn forward_log(stderr: impl AsyncRead + Unpin, model: ModelName, pid: u32) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => log(&String::from_utf8_lossy(&line), &model, pid),
        }
    }
}

fn log(line: &str, model: &ModelName, pid: u32) {
    let line = line.trim();
    if line.is_empty() {
        return;
    }
    let Ok(serde_json::Value::Object(mut fields)) = serde_json::from_str(line) else {
        // Native libraries write plain text.
        tracing::warn!(target: "airunner_worker", %model, pid, "{line}");
        return;
    };
    let mut take = |name: &str| {
        fields
            .remove(name)
            .and_then(|value| value.as_str().map(str::to_owned))
    };
    let (level, message) = (
        take("level").unwrap_or_default(),
        take("message").unwrap_or_default(),
    );
    drop((take("timestamp"), take("target")));
    let details = if fields.is_empty() {
        None
    } else {
        Some(serde_json::Value::Object(fields).to_string())
    };
    match level.as_str() {
        "ERROR" => tracing::error!(target: "airunner_worker", %model, pid, details, "{message}"),
        "INFO" => tracing::info!(target: "airunner_worker", %model, pid, details, "{message}"),
        "DEBUG" => tracing::debug!(target: "airunner_worker", %model, pid, details, "{message}"),
        "TRACE" => tracing::trace!(target: "airunner_worker", %model, pid, details, "{message}"),
        _ => tracing::warn!(target: "airunner_worker", %model, pid, details, "{message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_not_told_tokens() {
        let mut command = Command::new("worker");
        command.env("HF_TOKEN", "hf_secret");
        keep_secrets(&mut command);
        let removed = |name: &str| {
            let mut variables = command.as_std().get_envs();
            variables.any(|(known, value)| known == name && value.is_none())
        };
        assert!(SECRETS.into_iter().all(removed) && removed("NOTIFY_SOCKET"));
    }

    #[test]
    fn the_runtime_of_a_process_reports_to_nobody() {
        let mut command = Command::new("worker");
        keep_secrets(&mut command);
        let told = command
            .as_std()
            .get_envs()
            .any(|(name, value)| name == SILENCE.0 && value == Some(SILENCE.1.as_ref()));
        assert!(told);
    }
}
