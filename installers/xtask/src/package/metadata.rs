//! Which release a package is: version, time and platform.

use std::process::Command;

use anyhow::Context;
use jiff::Timestamp;

use super::platform::Platform;
use crate::process;
use crate::workspace::Workspace;

/// Who answers for the packages. The domain is reserved for names that lead nowhere, because
/// there is no address to write to yet.
pub(super) const MAINTAINER: &str = "The AI Runner developers <developers@airunner.invalid>";
pub(super) const SUMMARY: &str = "run AI models on your own machine";
pub(super) const DESCRIPTION: [&str; 3] = [
    "AI Runner runs language models from ONNX packages on your own machine: a small daemon per user \
     loads them into processes of their own and unloads them when nobody needs them.",
    "It answers the command line, every program that speaks to its local socket, and the clients of \
     OpenAI, Ollama and Anthropic over HTTP. Nothing leaves the machine.",
    "Nothing is started by installing it: \"airunner start\" starts the daemon, and \
     \"airunner service install --enable\" lets it start whenever you log in.",
];

/// Everything a package says about itself that its files do not.
#[derive(Clone, Debug)]
pub(super) struct Release {
    /// Of the workspace, such as `0.1.0`.
    pub(super) version: String,
    /// Counts packages of one version.
    pub(super) revision: u32,
    /// Made of programs that were not built as a release.
    pub(super) trial: bool,
    /// Seconds since 1970 that every file and record of the package is dated with.
    pub(super) time: i64,
    pub(super) platform: Platform,
}

impl Release {
    pub(super) fn of(workspace: &Workspace, revision: u32, trial: bool) -> anyhow::Result<Self> {
        let metadata = workspace.metadata()?;
        let daemon = metadata
            .packages
            .iter()
            .find(|package| package.name == "airunner-daemon");
        let version = daemon
            .context("the workspace has no airunner-daemon")?
            .version
            .clone();
        Ok(Self {
            version,
            revision,
            trial,
            time: time(workspace)?,
            platform: Platform::here()?,
        })
    }

    /// Sorts before the release of the same number, in Debian's order as in RPM's.
    pub(super) fn upstream(&self) -> String {
        if self.trial {
            format!("{}~trial", self.version)
        } else {
            self.version.clone()
        }
    }

    /// Version and count, as `.deb` and `.rpm` write it.
    pub(super) fn full(&self) -> String {
        format!("{}-{}", self.upstream(), self.revision)
    }

    /// The time in the form of a `strftime` format, in UTC.
    pub(super) fn date(&self, format: &str) -> anyhow::Result<String> {
        Ok(Timestamp::from_second(self.time)?.strftime(format).to_string())
    }
}

/// `SOURCE_DATE_EPOCH`, or when the checked-out commit was made.
fn time(workspace: &Workspace) -> anyhow::Result<i64> {
    let text = match &workspace.source_date_epoch {
        Some(text) => text.clone(),
        None => {
            let mut command = Command::new("git");
            command
                .args(["log", "-1", "--format=%ct"])
                .current_dir(&workspace.root);
            process::output(&mut command).context(
                "packages are dated by the commit: set SOURCE_DATE_EPOCH outside of a git checkout",
            )?
        }
    };
    text.trim()
        .parse()
        .with_context(|| format!("{} is no number of seconds since 1970", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::super::platform;
    use super::*;

    #[test]
    fn a_trial_is_older_than_the_release_and_both_are_counted() {
        let mut release = Release {
            version: "1.2.3".to_owned(),
            revision: 2,
            trial: true,
            time: 0,
            platform: platform::WINDOWS,
        };
        assert_eq!(release.full(), "1.2.3~trial-2");
        release.trial = false;
        assert_eq!(release.full(), "1.2.3-2");
        assert_eq!(release.date("%F %T").unwrap(), "1970-01-01 00:00:00");
    }
}
