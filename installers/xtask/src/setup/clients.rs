//! The client libraries that the HTTP API is tested with, and the browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::{environment, system};
use crate::workspace::Workspace;
use crate::{process, say};

/// Where the programs that use the libraries are.
const SCRIPTS: &str = "tests/clients";

/// Makes the environments for Python and Node.js in the build directory, anew if what they hold
/// was changed.
pub(super) fn stage(workspace: &Workspace) -> anyhow::Result<()> {
    let scripts = workspace.root.join(SCRIPTS);
    let environments = workspace.target.join("clients");
    let made = [
        environment::stage(
            &environments.join("python"),
            &scripts,
            &["requirements.txt"],
            environment::python,
        )?,
        environment::stage(
            &environments.join("node"),
            &scripts,
            &["package.json", "package-lock.json"],
            node,
        )?,
    ];
    system::require_browser()?;
    let what = if made.contains(&true) {
        "put in place"
    } else {
        "in place"
    };
    say::note(&format!("clients for Python and Node.js: {what}"));
    Ok(())
}

fn node(directory: &Path, scripts: &Path) -> anyhow::Result<()> {
    let npm = system::npm()?;
    for file in ["package.json", "package-lock.json"] {
        fs::copy(scripts.join(file), directory.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    say::note("fetching the clients for Node.js with npm");
    process::visible(
        Command::new(npm)
            .args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ])
            .current_dir(directory),
    )
}
