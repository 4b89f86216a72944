//! The client libraries that the HTTP API is tested with, and the browser.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::system;
use crate::workspace::Workspace;
use crate::{process, say};

/// Where the programs that use the libraries are.
const SCRIPTS: &str = "tests/clients";
/// What is written when an environment is complete: the files it was made from.
const STAMP: &str = "complete";

/// Makes the environments for Python and Node.js in the build directory, anew if what they hold
/// was changed.
pub(super) fn stage(workspace: &Workspace) -> anyhow::Result<()> {
    let scripts = workspace.root.join(SCRIPTS);
    let environments = workspace.target.join("clients");
    let made = [
        environment(
            &environments.join("python"),
            &scripts,
            &["requirements.txt"],
            python,
        )?,
        environment(
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

/// Whether anything had to be done.
fn environment(
    directory: &Path,
    scripts: &Path,
    files: &[&str],
    make: fn(&Path, &Path) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    let wanted = files
        .iter()
        .map(|file| fs::read_to_string(scripts.join(file)).with_context(|| format!("cannot read {file}")))
        .collect::<anyhow::Result<String>>()?;
    let stamp = directory.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(false);
    }
    if directory.exists() {
        fs::remove_dir_all(directory).with_context(|| format!("cannot remove {}", directory.display()))?;
    }
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    make(directory, scripts)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(true)
}

fn python(directory: &Path, scripts: &Path) -> anyhow::Result<()> {
    let python = system::python_with_environments()?;
    process::visible(Command::new(python).args(["-m", "venv"]).arg(directory))?;
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    let inside = directory.join(folder).join("python");
    say::note("fetching the clients for Python with pip");
    process::visible(
        Command::new(inside)
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(scripts.join("requirements.txt")),
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn make(directory: &Path, _scripts: &Path) -> anyhow::Result<()> {
        Ok(fs::write(directory.join("made"), "")?)
    }

    fn refuse(_directory: &Path, _scripts: &Path) -> anyhow::Result<()> {
        anyhow::bail!("no")
    }

    #[test]
    fn an_environment_is_made_again_when_its_list_changes_or_it_was_not_completed() {
        let directory = tempfile::tempdir().unwrap();
        let (scripts, made) = (directory.path(), directory.path().join("made"));
        fs::write(scripts.join("list"), "one").unwrap();
        let stage = |make| environment(&made, scripts, &["list"], make);
        assert!(stage(refuse).is_err());
        assert!(stage(make).unwrap());
        assert!(!stage(make).unwrap());
        fs::write(scripts.join("list"), "two").unwrap();
        fs::write(made.join("old"), "").unwrap();
        assert!(stage(make).unwrap());
        assert!(!made.join("old").exists());
    }
}
