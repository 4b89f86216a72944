//! Programs in other languages that talk to a daemon.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::binaries::{binary, profile_directory, search_path};
use crate::daemon::Daemon;
use crate::packages::FakeModel;

/// Longer than any of them needs on a busy machine.
const LONGEST: Duration = Duration::from_secs(1800);
/// Lines of the daemon's log that are shown with a failure.
const LOG_LINES: usize = 30;

/// The environments that `cargo xtask setup` makes, if they are there.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The Python that has the client libraries.
    pub python: PathBuf,
    /// The folder where Node.js finds its packages.
    pub node: PathBuf,
    pub browser: PathBuf,
}

impl Clients {
    /// `None` if one of them is missing.
    #[must_use]
    pub fn find() -> Option<Self> {
        let folder = profile_directory().parent()?.join("clients");
        let python = folder.join(if cfg!(windows) {
            "python/Scripts/python.exe"
        } else {
            "python/bin/python"
        });
        let node = folder.join("node");
        let complete = python.is_file() && node.join("node_modules").is_dir();
        let browser = find_program(&["chromium", "chromium-browser", "google-chrome"])?;
        find_program(&["node"])?;
        complete.then_some(Self {
            python,
            node,
            browser,
        })
    }
}

fn find_program(names: &[&str]) -> Option<PathBuf> {
    search_path()
        .iter()
        .flat_map(|folder| names.iter().map(|name| folder.join(name)))
        .find(|path| path.is_file())
}

/// What the scripts can ask for, with the names they know it by. `tests/clients/README.md`
/// describes them.
#[must_use]
pub fn client_models() -> Vec<FakeModel> {
    vec![
        FakeModel::new("echo"),
        FakeModel::new("scripted")
            .speaks(&["Hel", "lo, ", "client", "."])
            .with("json_text", r#"{"city": "Paris", "population": 2100000}"#),
        FakeModel::new("tools")
            .speaks(&[])
            .with("argument_pieces", 3)
            .with(
                "tool_calls",
                json!([
                    {"name": "get_weather", "arguments": {"city": "Paris"}},
                    {"name": "get_time", "arguments": {"zone": "Europe/Paris"}},
                ]),
            ),
        FakeModel::new("thinking")
            .with("reasoning", json!(["Let me ", "think."]))
            .speaks(&["It is ", "42."]),
        FakeModel::new("slow")
            .speaks(&["word "])
            .with("repeat", true)
            .token_every_ms(20),
        FakeModel::new("faulty").computes_nan(),
    ]
}

/// A daemon with the models of the scripts.
pub async fn client_daemon() -> Daemon {
    Daemon::with_models(&client_models()).await
}

impl Daemon {
    /// A command that knows this daemon and its models.
    pub async fn client_command(&self, program: &Path, clients: &Clients) -> tokio::process::Command {
        let http = self.http().await;
        let mut command = self.home.command(program);
        let mut path = vec![binary("airunner").parent().expect("in a folder").to_owned()];
        path.extend(search_path());
        command
            .env("PATH", std::env::join_paths(path).expect("no folder has a colon"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("AIRUNNER_TEST_URL", &http.url)
            .env("AIRUNNER_TEST_KEY", &http.token)
            .env("AIRUNNER_TEST_MODEL_BUILTIN", "builtin/helper")
            .env("AIRUNNER_TEST_BROWSER", &clients.browser);
        for model in client_models() {
            let name = format!("AIRUNNER_TEST_MODEL_{}", model.name.to_uppercase());
            command.env(name, &model.name);
        }
        let mut command = tokio::process::Command::from(command);
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a script to its end. The error is what it printed, and what the daemon said last.
    pub async fn run_client(&self, mut command: tokio::process::Command) -> Result<String, String> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{:?}", command.as_std());
        let output = match tokio::time::timeout(LONGEST, command.output()).await {
            Ok(output) => output.map_err(|error| format!("cannot start {shown}: {error}"))?,
            Err(_) => return Err(format!("{shown} does not end\n{}", self.last_words())),
        };
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(stdout);
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "{}\n{stdout}{stderr}\n{}",
            output.status,
            self.last_words()
        ))
    }

    fn last_words(&self) -> String {
        let log = self.home.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(LOG_LINES)..];
        format!("the daemon's log ends with:\n{}", last.join("\n"))
    }
}
