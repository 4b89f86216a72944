//! The checks that hold the repository's rules, each with a name and a time.

mod architecture;
mod crates;
mod sources;
mod tools;

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::workspace::Workspace;
use crate::{process, say};

/// What a check ends with when it finds nothing wrong.
enum Outcome {
    Passed,
    /// It could not be carried out on this machine, and why.
    Skipped(String),
}

struct Check {
    name: &'static str,
    about: &'static str,
    run: fn(&Workspace) -> anyhow::Result<Outcome>,
}

/// Quick ones first.
const CHECKS: [Check; 9] = [
    Check {
        name: "format",
        about: "cargo fmt --check",
        run: format,
    },
    Check {
        name: "sources",
        about: "file lengths, and words that no committed file may hold",
        run: sources::check,
    },
    Check {
        name: "architecture",
        about: "which crate and module may use which",
        run: architecture::check,
    },
    Check {
        name: "dependencies",
        about: "cargo-deny: licences, duplicates, sources",
        run: tools::deny,
    },
    Check {
        name: "unused",
        about: "cargo-shear: dependencies nobody uses",
        run: tools::shear,
    },
    Check {
        name: "clippy",
        about: "clippy on everything, warnings denied",
        run: clippy,
    },
    Check {
        name: "documentation",
        about: "rustdoc, warnings denied",
        run: documentation,
    },
    Check {
        name: "alone",
        about: "each crate by itself, as its features say",
        run: crates::alone,
    },
    Check {
        name: "platforms",
        about: "type check for Windows and macOS",
        run: crates::other_platforms,
    },
];

/// Names every check.
pub(crate) fn list() {
    for check in &CHECKS {
        say::note(&format!("{:<14} {}", check.name, check.about));
    }
}

/// Runs all checks, or those named, and reports every failure at the end.
pub(crate) fn lint(workspace: &Workspace, names: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = names
        .iter()
        .find(|name| CHECKS.iter().all(|check| check.name != **name))
    {
        bail!("there is no check `{unknown}`: `cargo xtask lint --list` names them");
    }
    let chosen = CHECKS
        .iter()
        .filter(|check| names.is_empty() || names.iter().any(|name| name == check.name));
    let results: Vec<_> = chosen.map(|check| carry_out(workspace, check)).collect();
    say::step("lint");
    for (name, time, result) in &results {
        say::note(&format!(
            "{name:<14} {:>8}  {}",
            say::seconds(*time),
            word(result)
        ));
    }
    let failed: Vec<_> = results
        .iter()
        .filter(|(_, _, result)| result.is_err())
        .map(|(name, _, _)| *name)
        .collect();
    if !failed.is_empty() {
        bail!("lint: failed: {}", failed.join(", "));
    }
    Ok(())
}

type Report = (&'static str, Duration, anyhow::Result<Outcome>);

fn carry_out(workspace: &Workspace, check: &Check) -> Report {
    say::step(&format!("{}: {}", check.name, check.about));
    let started = Instant::now();
    let result = (check.run)(workspace);
    if let Err(error) = &result {
        say::failure(&format!("{}: {error:#}", check.name));
    }
    (check.name, started.elapsed(), result)
}

fn word(result: &anyhow::Result<Outcome>) -> String {
    match result {
        Ok(Outcome::Passed) => "passed".to_owned(),
        Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
        Err(_) => "FAILED".to_owned(),
    }
}

fn format(workspace: &Workspace) -> anyhow::Result<Outcome> {
    process::visible(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed)
}

fn clippy(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    process::visible(&mut workspace.cargo(&arguments))?;
    Ok(Outcome::Passed)
}

fn documentation(workspace: &Workspace) -> anyhow::Result<Outcome> {
    let mut command = workspace.cargo(&["doc", "--workspace", "--no-deps"]);
    process::visible(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(Outcome::Passed)
}
