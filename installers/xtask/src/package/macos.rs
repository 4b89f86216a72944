//! The `.pkg` for macOS, by Apple's own tools, which only a Mac has.
//!
//! The agent of launchd lies beside what else the programs share, where nothing loads it: one in
//! `/Library/LaunchAgents` would start at every user's next login. `airunner service install` writes
//! the user's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::files::{self, DOCUMENTS, Entry, PORTABLE};
use super::materials::Materials;
use super::notices;
use super::stage::{self, Stage};
use crate::process;
use crate::workspace::Workspace;

const IDENTIFIER: &str = "ai-runner";
const PREFIX: &str = "usr/local";
const DISTRIBUTION: &str = include_str!("../../../macos/distribution.xml");
/// Run by Installer, by the names that it gives them.
const SCRIPTS: [(&str, &str); 2] = [
    ("preinstall", include_str!("../../../macos/scripts/preinstall")),
    ("postinstall", include_str!("../../../macos/scripts/postinstall")),
];
const UNINSTALL: &str = include_str!("../../../macos/uninstall.sh");
/// What is removed with the package, or by a later one that has it no more.
const LIST: &str = "share/airunner/files.txt";

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("macos", ".pkg")?;
    let licence = fs::read_to_string(workspace.root.join("LICENSE")).context("cannot read LICENSE")?;
    let root = installed(materials, &licence)?;
    let parts = Stage::new(materials.work.join("pkg/parts"), release.time)?.finish()?;
    let mut command = Command::new("pkgbuild");
    command
        .arg("--root")
        .arg(&root)
        .arg("--scripts")
        .arg(scripts(materials)?);
    command.args(["--ownership", "recommended", "--install-location", "/"]);
    command.args(["--identifier", IDENTIFIER, "--version", &release.version]);
    process::visible(command.arg(parts.join("airunner.pkg")))?;

    let resources = Stage::new(materials.work.join("pkg/resources"), release.time)?.finish()?;
    fs::write(resources.join("LICENSE.txt"), licence).context("cannot write the licence")?;
    let distribution = materials.work.join("pkg/distribution.xml");
    fs::write(&distribution, description(&release.version))
        .with_context(|| format!("cannot write {}", distribution.display()))?;
    let path = output.join(format!(
        "airunner-{}-macos-{}.pkg",
        release.upstream(),
        release.platform.processor
    ));
    let mut command = Command::new("productbuild");
    command.arg("--distribution").arg(&distribution);
    command
        .arg("--package-path")
        .arg(&parts)
        .arg("--resources")
        .arg(&resources);
    process::visible(command.arg(&path))?;
    Ok(path)
}

/// The files as they will be on the Mac.
fn installed(materials: &Materials, licence: &str) -> anyhow::Result<PathBuf> {
    let mut stage = Stage::new(materials.work.join("pkg/root"), materials.release.time)?;
    stage.add(PREFIX, &entries(materials, licence)?)?;
    stage.finish()
}

fn entries(materials: &Materials, licence: &str) -> anyhow::Result<Vec<Entry>> {
    let mut entries = files::common(materials, PORTABLE)?;
    entries.push(Entry::text(format!("{DOCUMENTS}/LICENSE"), licence));
    entries.extend(notices::entries(materials, DOCUMENTS));
    for (name, agent) in &materials.documents.agents {
        entries.push(Entry::text(format!("share/airunner/LaunchAgents/{name}"), agent));
    }
    entries.push(Entry {
        mode: 0o755,
        ..Entry::text("share/airunner/uninstall.sh", UNINSTALL)
    });
    let mut paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    paths.push(LIST);
    paths.sort_unstable();
    let list = paths.join("\n") + "\n";
    entries.push(Entry::text(LIST, list));
    Ok(entries)
}

fn scripts(materials: &Materials) -> anyhow::Result<PathBuf> {
    let directory = Stage::new(materials.work.join("pkg/scripts"), materials.release.time)?.finish()?;
    for (name, text) in SCRIPTS {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        stage::set_mode(&path, 0o755)?;
    }
    Ok(directory)
}

fn description(version: &str) -> String {
    DISTRIBUTION
        .replace("@VERSION@", version)
        .replace("@IDENTIFIER@", IDENTIFIER)
}

#[cfg(test)]
#[cfg(unix)]
mod tests;
