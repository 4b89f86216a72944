//! The `airunner` command, run as a user or a script runs it.

use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;

use crate::binaries::binary;
use crate::home::Home;

/// Runs `airunner` in a home.
pub struct Cli<'a> {
    home: &'a Home,
}

impl<'a> Cli<'a> {
    #[must_use]
    pub const fn new(home: &'a Home) -> Self {
        Self { home }
    }

    /// Starts the command without waiting for it.
    #[must_use]
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.home.command(binary("airunner"));
        command.args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .expect("airunner starts")
    }

    pub async fn run(&self, arguments: &[&str]) -> CliOutput {
        self.run_with_input(arguments, "").await
    }

    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> CliOutput {
        let mut child = self.spawn(arguments);
        let mut stdin = child.stdin.take().expect("stdin is piped");
        let input = input.to_owned();
        let write = async move {
            // A command that fails early does not read its input.
            let _ = stdin.write_all(input.as_bytes()).await;
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), write);
        CliOutput::new(arguments, output.expect("airunner can be waited for"))
    }

    /// Runs with `--json` and expects success.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> impl Future<Output = Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        async move {
            let output = self.run(&all).await;
            assert_eq!(output.code, 0, "{output:?}");
            output.json()
        }
    }

    /// Runs with `--json`, expects failure, and returns the exit code, the reason and the message.
    pub async fn refusal(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.run(&all).await;
        assert_ne!(output.code, 0, "{output:?}");
        let error = &output.json()["error"];
        let text = |key: &str| {
            error[key]
                .as_str()
                .unwrap_or_else(|| panic!("{output:?}"))
                .to_owned()
        };
        (output.code, text("reason"), text("message"))
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct CliOutput {
    pub command: String,
    /// Exit code; negative: the signal that ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl CliOutput {
    #[must_use]
    pub fn new(arguments: &[&str], output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = || -output.status.signal().unwrap_or(i32::MAX);
        Self {
            command: format!("airunner {}", arguments.join(" ")),
            code: output.status.code().unwrap_or_else(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}
