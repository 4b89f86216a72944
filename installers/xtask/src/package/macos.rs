//! The `.pkg` for macOS, by Apple's own tools, which only a Mac has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::files::{self, DOCUMENTS, Entry, PORTABLE};
use super::materials::Materials;
use super::notices;
use super::stage::Stage;
use crate::process;
use crate::workspace::Workspace;

const IDENTIFIER: &str = "ai-runner";
const DISTRIBUTION: &str = include_str!("../../../macos/distribution.xml");

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("macos", ".pkg")?;
    let licence = fs::read_to_string(workspace.root.join("LICENSE")).context("cannot read LICENSE")?;
    let mut stage = Stage::new(materials.work.join("pkg/root"), release.time)?;
    stage.add("usr/local", &files::common(materials, PORTABLE)?)?;
    stage.add(
        "usr/local",
        &[Entry::text(format!("{DOCUMENTS}/LICENSE"), &licence)],
    )?;
    stage.add("usr/local", &notices::entries(materials, DOCUMENTS))?;
    let root = stage.finish()?;
    let parts = Stage::new(materials.work.join("pkg/parts"), release.time)?.finish()?;
    let mut command = Command::new("pkgbuild");
    command
        .arg("--root")
        .arg(&root)
        .args(["--ownership", "recommended", "--install-location", "/"]);
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

fn description(version: &str) -> String {
    DISTRIBUTION
        .replace("@VERSION@", version)
        .replace("@IDENTIFIER@", IDENTIFIER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_of_this_package_and_version() {
        let text = description("1.2.3");
        assert!(!text.contains('@'), "{text}");
        assert!(
            text.contains(
                "<pkg-ref id=\"ai-runner\" version=\"1.2.3\" onConclusion=\"none\">airunner.pkg</pkg-ref>"
            ),
            "{text}"
        );
    }
}
