//! The programs as they are shipped.

use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::workspace::Workspace;
use crate::{process, say};

/// One line of `cargo build --message-format=json`.
#[derive(Deserialize)]
struct BuildMessage {
    reason: String,
    package_id: Option<String>,
    #[serde(default)]
    features: Vec<String>,
}

/// A program that is shipped, and the crate it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shipped {
    pub(crate) package: &'static str,
    pub(crate) program: &'static str,
}

const PROGRAMS: [Shipped; 3] = [
    Shipped {
        package: "airunner-cli",
        program: "airunner",
    },
    Shipped {
        package: "airunner-tray",
        program: "airunner-tray",
    },
    Shipped {
        package: "airunner-daemon",
        program: "airunnerd",
    },
];

/// The programs of this checkout.
pub(crate) fn shipped(workspace: &Workspace) -> anyhow::Result<Vec<Shipped>> {
    let members = workspace.metadata()?.packages;
    let is_member = |shipped: &Shipped| members.iter().any(|member| member.name == shipped.package);
    Ok(PROGRAMS.into_iter().filter(is_member).collect())
}

/// Builds what is shipped, and makes sure that nothing made for tests is in it.
pub(crate) fn build(workspace: &Workspace) -> anyhow::Result<()> {
    say::step("building the programs (release)");
    say::timed("build", || compile(workspace, &[]))
}

/// The same for another platform.
pub(crate) fn build_for(workspace: &Workspace, triple: &str) -> anyhow::Result<()> {
    say::step(&format!("building the programs for {triple} (release)"));
    say::timed("build", || compile(workspace, &["--target", triple]))
}

fn compile(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = workspace.cargo(&["build", "--release"]);
    for shipped in shipped(workspace)? {
        command.args(["-p", shipped.package]);
    }
    command
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped());
    let child = command.spawn().context("cannot start cargo")?;
    let output = child.wait_with_output().context("cannot read what cargo says")?;
    process::check(&command, output.status)?;
    refuse_fakes(&String::from_utf8_lossy(&output.stdout))
}

fn refuse_fakes(messages: &str) -> anyhow::Result<()> {
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<BuildMessage>(line).ok());
    for artifact in artifacts.filter(|message| message.reason == "compiler-artifact") {
        if artifact.features.iter().any(|feature| feature == "fake-runtime") {
            let package = artifact.package_id.unwrap_or_default();
            bail!("the release build of {package} has the feature fake-runtime, which is for tests only");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_with_a_fake_runtime_is_refused() {
        let clean = r#"{"reason":"compiler-artifact","package_id":"a","features":["default"]}"#;
        let fake = r#"{"reason":"compiler-artifact","package_id":"b","features":["fake-runtime"]}"#;
        let script = r#"{"reason":"build-script-executed","package_id":"c"}"#;
        assert!(refuse_fakes(&format!("{clean}\n{script}\nnot json\n")).is_ok());
        let error = refuse_fakes(&format!("{clean}\n{fake}\n"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("fake-runtime"), "{error}");
    }
}
