//! The snap: the same files below one prefix and `meta/snap.yaml`, as a squashfs. `snapcraft`
//! makes the same of `installers/snap/snapcraft.yaml`, where it is to be had.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::files::{self, DOCUMENTS, Entry, PORTABLE};
use super::materials::Materials;
use super::metadata::{DESCRIPTION, SUMMARY};
use super::notices;
use super::stage::Stage;
use crate::workspace::Workspace;
use crate::{process, setup};

/// What is alike in the recipe for snapcraft: confinement, applications and what they may do.
const RECIPE: &str = include_str!("../../../snap/snapcraft.yaml");
/// The part of the recipe that says how it is built.
const BUILDING: &str = "\nparts:";

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("linux", "snap")?;
    setup::require_tools("what makes snaps", &[("mksquashfs", "squashfs-tools")])?;
    let mut stage = Stage::new(materials.work.join("snap"), release.time)?;
    stage.add("", &files::common(materials, PORTABLE)?)?;
    stage.add("", &documents(workspace, materials)?)?;
    let root = stage.finish()?;
    let path = output.join(format!(
        "airunner_{}_{}.snap",
        release.upstream(),
        release.platform.debian
    ));
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    squash(materials, &root, &path)?;
    Ok(path)
}

fn documents(workspace: &Workspace, materials: &Materials) -> anyhow::Result<Vec<Entry>> {
    let licence = fs::read_to_string(workspace.root.join("LICENSE")).context("cannot read LICENSE")?;
    let mut documents = vec![
        Entry::text("meta/snap.yaml", declaration(materials)),
        Entry::text(format!("{DOCUMENTS}/LICENSE"), licence),
    ];
    if materials.has_tray() {
        documents.push(Entry::text(
            "meta/gui/airunner-tray.desktop",
            include_str!("../../../linux/airunner-tray.desktop")
                .replace("Exec=airunner-tray", "Exec=airunner.tray")
                .replace("TryExec=airunner-tray\n", "")
                .replace("Icon=airunner", "Icon=${SNAP}/meta/gui/airunner.svg"),
        ));
        for (name, source) in &materials.icons {
            let icon = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
            documents.push(Entry::bytes(format!("meta/gui/{name}"), icon));
        }
    }
    documents.extend(notices::entries(materials, DOCUMENTS));
    Ok(documents)
}

/// The recipe without its part about building, for this version and processor.
fn declaration(materials: &Materials) -> String {
    let release = &materials.release;
    let (declared, _) = RECIPE.split_once(BUILDING).unwrap_or((RECIPE, ""));
    let mut text = String::new();
    for line in declared.lines().filter(|line| !line.starts_with('#')) {
        match line.split_once(':').map(|(key, _)| key) {
            Some("version") => text += &format!("version: '{}'\n", release.upstream()),
            Some("summary") => text += &format!("summary: {SUMMARY}\n"),
            Some("description") => text += &format!("description: |\n  {}\n", DESCRIPTION.join("\n\n  ")),
            Some("platforms") => text += &format!("architectures:\n  - {}\n", release.platform.debian),
            // The platforms themselves.
            Some("  amd64" | "  arm64") => {}
            _ => text += &format!("{line}\n"),
        }
    }
    if materials.has_tray() {
        text
    } else {
        without(&text, "  tray:")
    }
}

/// Without one application.
fn without(text: &str, application: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        inside = line == application || (inside && line.starts_with("    "));
        if !inside {
            kept += &format!("{line}\n");
        }
    }
    kept
}

fn squash(materials: &Materials, root: &Path, path: &Path) -> anyhow::Result<()> {
    let release = &materials.release;
    let mut command = Command::new("mksquashfs");
    command.arg(root).arg(path);
    command.args([
        "-noappend",
        "-all-root",
        "-no-xattrs",
        "-no-fragments",
        "-no-progress",
    ]);
    if release.trial {
        command.args(["-comp", "gzip", "-Xcompression-level", "1"]);
    } else {
        command.args(["-comp", "xz"]);
    }
    command
        .env("SOURCE_DATE_EPOCH", release.time.to_string())
        .arg("-quiet");
    process::output(&mut command).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    #[test]
    fn the_declaration_names_the_version_and_nothing_of_the_build() {
        let text = declaration(&sample());
        for line in [
            "name: airunner",
            "version: '1.2.3'",
            "  - amd64",
            "confinement: strict",
            "    command: bin/airunner",
            "    command: bin/airunner-tray",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(
            !text.contains("parts") && !text.contains("platforms") && !text.contains('#'),
            "{text}"
        );
        assert!(!text.contains("arm64"), "{text}");
    }

    #[test]
    fn without_a_tray_there_is_no_application_for_it() {
        let mut materials = sample();
        materials
            .programs
            .retain(|program| program.name != "airunner-tray");
        let text = declaration(&materials);
        assert!(
            text.contains("command: bin/airunner\n") && !text.contains("tray"),
            "{text}"
        );
    }

    #[test]
    fn nothing_of_it_runs_by_itself() {
        assert!(!declaration(&sample()).contains("daemon:"));
    }
}
