//! Calling the system's own tools.

use std::fmt;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use super::ServiceError;

/// Tools answer at once, unless they wait for a service.
const PATIENCE: Duration = Duration::from_secs(30);

/// A tool and what it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub program: &'static str,
    pub arguments: Vec<String>,
    /// It is ended if it takes longer.
    pub patience: Duration,
}

impl Call {
    pub(super) fn new<const N: usize>(program: &'static str, arguments: [&str; N]) -> Self {
        Self {
            program,
            arguments: arguments.map(str::to_owned).into(),
            patience: PATIENCE,
        }
    }

    /// With a longer or shorter wait.
    pub(super) const fn within(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program)?;
        self.arguments
            .iter()
            .try_for_each(|argument| write!(f, " {argument}"))
    }
}

/// What a tool said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    /// What explains a failure, on one line.
    pub(super) fn said(&self) -> String {
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        match said.trim() {
            "" => "it said nothing".to_owned(),
            said => said.lines().map(str::trim).collect::<Vec<_>>().join("; "),
        }
    }
}

/// Whoever runs the tools.
pub trait Commands: Send + Sync {
    /// Runs one to its end. An error: it could not be run at all, or took too long.
    fn run(&self, call: &Call) -> impl Future<Output = io::Result<Outcome>> + Send;
}

/// Runs them for real.
#[derive(Clone, Debug, Default)]
pub struct SystemCommands {
    /// Variables the tools need and this process lacks.
    pub(super) variables: Vec<(&'static str, std::path::PathBuf)>,
}

impl Commands for SystemCommands {
    async fn run(&self, call: &Call) -> io::Result<Outcome> {
        let mut command = tokio::process::Command::new(call.program);
        command
            .args(&call.arguments)
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            // Some of what they say is read.
            .env("LC_ALL", "C.UTF-8")
            .env("SYSTEMD_PAGER", "")
            .env("SYSTEMD_COLORS", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let output = tokio::time::timeout(call.patience, command.output())
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "it does not answer"))??;
        Ok(Outcome {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// Runs a tool, whatever it says.
pub(super) async fn run(commands: &impl Commands, call: Call) -> Result<Outcome, ServiceError> {
    commands.run(&call).await.map_err(|source| ServiceError::Run {
        program: call.program,
        source,
    })
}

/// Runs a tool that must succeed.
pub(super) async fn demand(commands: &impl Commands, call: Call) -> Result<Outcome, ServiceError> {
    let command = call.to_string();
    let outcome = run(commands, call).await?;
    if outcome.success {
        return Ok(outcome);
    }
    Err(ServiceError::Failed {
        command,
        said: outcome.said(),
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_tool_says_comes_back_and_one_that_hangs_is_ended() {
        let commands = SystemCommands {
            variables: vec![("XDG_RUNTIME_DIR", "/somewhere".into())],
        };
        let script = "echo $XDG_RUNTIME_DIR; echo no >&2; exit 3";
        let outcome = commands.run(&Call::new("sh", ["-c", script])).await.unwrap();
        assert!(!outcome.success);
        assert_eq!((&*outcome.stdout, &*outcome.stderr), ("/somewhere\n", "no\n"));
        let hangs = Call::new("sh", ["-c", "read line < /dev/zero"]).within(Duration::from_millis(20));
        let error = commands.run(&hangs).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let failed = demand(
            &commands,
            Call::new("sh", ["-c", "echo a >&2; echo b >&2; false"]),
        )
        .await;
        assert!(failed.unwrap_err().to_string().ends_with("failed: a; b"));
    }
}
