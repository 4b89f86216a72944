//! Each crate by itself, and for the platforms this machine is not.

use std::process::Command;

use super::Outcome;
use crate::workspace::Workspace;
use crate::{process, say, setup};

/// Crates with code of their own for some operating system, and what stands on them.
const WITH_SYSTEM_CODE: [&str; 5] = [
    "airunner-platform",
    "airunner-ipc-client",
    "airunner-cli",
    "airunner-tray",
    "xtask",
];
/// Everything that is shipped. The scenarios look at processes the way Unix shows them.
const SHIPPED: [&str; 7] = [
    "airunner-platform",
    "airunner-runtimes",
    "airunner-daemon",
    "airunner-ipc-client",
    "airunner-cli",
    "airunner-tray",
    "xtask",
];
const WINDOWS: &str = "x86_64-pc-windows-gnu";
const MACOS: &str = "aarch64-apple-darwin";
/// What would compile Objective-C, which needs Apple's headers, and archive it: where only types
/// are checked nobody reads the result.
const NOTHING: [(&str, &str); 2] = [
    ("CC_aarch64_apple_darwin", "true"),
    ("AR_aarch64_apple_darwin", "true"),
];
/// Platforms that are type-checked wherever the checks run. What macOS shares with Linux is
/// checked there, so its own part is enough.
const PLATFORMS: [(&str, &[&str]); 2] = [(WINDOWS, &SHIPPED), (MACOS, &WITH_SYSTEM_CODE)];

/// In a build of the whole workspace a crate may use a feature that only another crate asks
/// for; alone it may not.
pub(super) fn alone(workspace: &Workspace) -> anyhow::Result<Outcome> {
    for package in &workspace.metadata()?.packages {
        say::note(&package.name);
        process::visible(&mut workspace.cargo(&["check", "--quiet", "-p", &package.name]))?;
    }
    Ok(Outcome::Passed)
}

/// Type-checks for the other operating systems, as far as their standard libraries, and what
/// compiles C for them, are installed or can be fetched.
pub(super) fn other_platforms(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let mut missing = Vec::new();
    for (platform, packages) in PLATFORMS {
        if let Err(error) = prepare(platform) {
            missing.push(platform);
            say::note(&format!("{platform}: {error:#}"));
            continue;
        }
        say::note(platform);
        let mut command = workspace.cargo(&["check", "--quiet", "--target", platform]);
        if platform == MACOS && !cfg!(target_os = "macos") {
            command.envs(NOTHING);
        }
        process::visible(command.args(packages.iter().flat_map(|package| ["-p", package])))?;
    }
    if missing.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Skipped(format!(
        "the standard library or the C compiler could not be fetched: {}",
        missing.join(", ")
    )))
}

fn prepare(platform: &str) -> anyhow::Result<()> {
    process::output(Command::new("rustup").args(["target", "add", platform]))?;
    if platform == WINDOWS {
        setup::require_windows_compiler()?;
    }
    Ok(())
}
