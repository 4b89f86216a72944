//! What the command line itself writes: manual pages, completions and units.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::materials::Work;
use super::platform::Platform;
use crate::{process, setup};

#[derive(Clone, Debug, Default)]
pub(super) struct Documents {
    /// File name, such as `airunner-models.1`, and page.
    pub(super) manuals: Vec<(String, Vec<u8>)>,
    pub(super) bash: String,
    pub(super) zsh: String,
    pub(super) fish: String,
    /// File name and text of systemd's units for a user.
    pub(super) units: Vec<(String, String)>,
    /// The same of launchd's agents.
    pub(super) agents: Vec<(String, String)>,
}

/// Where packages put the daemon.
const DAEMON: &str = "/usr/bin/airunnerd";
const DAEMON_OF_MAC: &str = "/usr/local/bin/airunnerd";

impl Documents {
    /// Asks the `airunner` of a build directory; nothing if it is not for this machine.
    pub(super) fn of(built: &Path, platform: Platform, work: &Work) -> anyhow::Result<Self> {
        if Platform::here()? != platform {
            return Ok(Self::default());
        }
        let command_line = CommandLine {
            program: built.join(format!("airunner{}", platform.suffix)),
            home: work.join("home"),
        };
        let mut documents = Self {
            manuals: manuals(&command_line, &work.join("manuals"))?,
            bash: command_line.ask(&["completions", "bash"])?,
            zsh: command_line.ask(&["completions", "zsh"])?,
            fish: command_line.ask(&["completions", "fish"])?,
            ..Self::default()
        };
        if platform.system == "linux" {
            let print = ["service", "print", "--executable", DAEMON];
            documents.units = vec![
                ("airunner.service".to_owned(), command_line.ask(&print)?),
                (
                    "airunner.socket".to_owned(),
                    command_line.ask(&[print.as_slice(), &["--socket"]].concat())?,
                ),
            ];
        }
        if platform.system == "macos" {
            let print = [
                "service",
                "print",
                "--format",
                "launchd",
                "--executable",
                DAEMON_OF_MAC,
            ];
            documents.agents = vec![("dev.airunner.daemon.plist".to_owned(), command_line.ask(&print)?)];
        }
        Ok(documents)
    }
}

/// `airunner`, without this user's settings.
struct CommandLine {
    program: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl CommandLine {
    fn ask(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("AIRUNNER_HOME", &self.home);
        process::output(&mut command)
    }
}

/// The pages of every command, and those of the other programs, which are written by hand.
fn manuals(command_line: &CommandLine, directory: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    let target = directory.to_str().context("the build directory is not UTF-8")?;
    command_line.ask(&["man", "--dir", target])?;
    let mut pages = vec![
        (
            "airunnerd.1".to_owned(),
            include_bytes!("../../../linux/airunnerd.1").to_vec(),
        ),
        (
            "airunner-tray.1".to_owned(),
            include_bytes!("../../../linux/airunner-tray.1").to_vec(),
        ),
    ];
    for file in setup::files_below(directory)? {
        let path = directory.join(&file);
        let page = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        pages.push((file.to_string_lossy().into_owned(), page));
    }
    pages.sort();
    Ok(pages)
}
