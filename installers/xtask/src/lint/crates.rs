//! Each crate by itself, and for the platforms this machine is not.

use std::process::Command;

use super::Outcome;
use crate::workspace::Workspace;
use crate::{process, say};

/// Platforms whose code is type-checked wherever the checks run.
const PLATFORMS: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// In a build of the whole workspace a crate may use a feature that only another crate asks
/// for; alone it may not.
pub(super) fn alone(workspace: &Workspace) -> anyhow::Result<Outcome> {
    for package in &workspace.metadata()?.packages {
        say::note(&package.name);
        process::visible(&mut workspace.cargo(&["check", "--quiet", "-p", &package.name]))?;
    }
    Ok(Outcome::Passed)
}

/// Type-checks what is shipped for the other operating systems, as far as their standard
/// libraries are installed or can be fetched.
pub(super) fn other_platforms(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let mut missing = Vec::new();
    for platform in PLATFORMS {
        if let Err(error) = process::output(Command::new("rustup").args(["target", "add", platform])) {
            missing.push(platform);
            say::note(&format!("{platform}: {error:#}"));
            continue;
        }
        say::note(platform);
        // The scenarios look at processes the way Unix shows them, and ship nothing.
        let arguments = [
            "check",
            "--quiet",
            "--workspace",
            "--exclude",
            "airunner-tests",
            "--target",
            platform,
        ];
        process::visible(&mut workspace.cargo(&arguments))?;
    }
    if missing.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Skipped(format!(
        "the standard library could not be fetched: {}",
        missing.join(", ")
    )))
}
