//! A daemon on a private home and a conversation with the built-in model, from nothing.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;

use crate::signals::Signals;
use crate::workspace::Workspace;
use crate::{process, release, say, setup};

const MODEL: &str = "builtin/helper";
const QUESTION: &str = "How do I load a model?";
/// What a shell reports for a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// Sets up, builds, and lets the user talk; always stops the daemon it started.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<ExitCode> {
    setup::all(workspace)?;
    release::build(workspace)?;
    let signals = Signals::watch()?;
    let home = Home::create()?;
    let daemon = Daemon::start(workspace, &home)?;
    let result = if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        chat(&daemon, &signals)
    } else {
        ask(&daemon, &signals)
    };
    if result.is_err() {
        daemon.show_log();
    }
    let stopped = daemon.stop();
    let code = result?;
    stopped?;
    Ok(code)
}

/// A private directory for one daemon, removed at the end.
struct Home(PathBuf);

impl Home {
    /// Short, because a socket's path may have little more than a hundred bytes, and another
    /// one in every run.
    fn create() -> anyhow::Result<Self> {
        static COUNTER: AtomicUsize = AtomicUsize::new(0);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("airunner-run-{}-{count}", std::process::id()));
        create_private(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

#[cfg(unix)]
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(path)
}

/// The temporary directory belongs to the user already.
#[cfg(not(unix))]
fn create_private(path: &Path) -> std::io::Result<()> {
    std::fs::create_dir(path)
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say::note(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

/// The daemon of this run, reached through the command line as a user would.
struct Daemon {
    command_line: PathBuf,
    home: PathBuf,
}

impl Daemon {
    fn start(workspace: &Workspace, home: &Home) -> anyhow::Result<Self> {
        let name = format!("airunner{}", std::env::consts::EXE_SUFFIX);
        let command_line = workspace.target.join("release").join(name);
        let daemon = Self {
            command_line,
            home: home.0.clone(),
        };
        say::step(&format!(
            "starting a daemon with its home in {}",
            daemon.home.display()
        ));
        if let Err(error) = process::visible(&mut daemon.command(&["start"])) {
            daemon.show_log();
            // It may be running although the start was reported as failed.
            let _ = process::output(&mut daemon.command(&["stop"]));
            return Err(error);
        }
        Ok(daemon)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command_line);
        command.args(arguments).env("AIRUNNER_HOME", &self.home);
        command
    }

    fn stop(&self) -> anyhow::Result<()> {
        say::step("stopping the daemon");
        process::visible(&mut self.command(&["stop"]))
    }

    /// The end of the daemon's log, for whoever has to find out why.
    fn show_log(&self) {
        say::step("the daemon's log");
        let mut logs = logs_below(&self.home);
        logs.sort();
        for log in logs {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            for line in &lines[lines.len().saturating_sub(20)..] {
                say::note(line);
            }
        }
    }
}

fn logs_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let (directories, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let is_log = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "log");
    let mut logs: Vec<PathBuf> = files.into_iter().filter(is_log).collect();
    logs.extend(directories.iter().flat_map(|directory| logs_below(directory)));
    logs
}

/// Ctrl-C is the conversation's own business: it cancels an answer.
fn chat(daemon: &Daemon, signals: &Signals) -> anyhow::Result<ExitCode> {
    say::step(&format!(
        "chatting with {MODEL}; /help shows the commands, Ctrl-D ends"
    ));
    let result = signals.run(&mut daemon.command(&["chat", MODEL]));
    if signals.terminated() {
        return Ok(ExitCode::from(INTERRUPTED));
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// One question, its answer and the status.
fn ask(daemon: &Daemon, signals: &Signals) -> anyhow::Result<ExitCode> {
    for (title, arguments) in [
        (
            format!("asking {MODEL}: {QUESTION}"),
            ["chat", MODEL, QUESTION].as_slice(),
        ),
        ("status".to_owned(), &["status"]),
    ] {
        say::step(&title);
        let result = signals.run(daemon.command(arguments).stdin(Stdio::null()));
        if signals.interrupted() || signals.terminated() {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        result?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_homes_are_two_directories_and_go_away() {
        let (one, two) = (Home::create().unwrap(), Home::create().unwrap());
        assert_ne!(one.0, two.0);
        let path = one.0.clone();
        std::fs::create_dir_all(path.join("state")).unwrap();
        std::fs::write(path.join("state/airunnerd.log"), "line\n").unwrap();
        assert_eq!(logs_below(&path), [path.join("state/airunnerd.log")]);
        drop(one);
        assert!(!path.exists());
    }
}
