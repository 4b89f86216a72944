//! The `.deb`: files, control file and scripts, put together by `dpkg-deb`.

mod control;
mod depends;
mod sums;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::files::{self, DEBIAN, DOCUMENTS, Entry};
use super::materials::Materials;
use super::stage::{self, Stage};
use super::{notices, release_notes, tools};
use crate::workspace::Workspace;
use crate::{process, setup};

/// Scripts of the package by the name that dpkg gives them.
const SCRIPTS: [(&str, &str); 2] = [
    ("postinst", include_str!("../../../../debian/postinst")),
    ("prerm", include_str!("../../../../debian/prerm")),
];

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("linux", ".deb")?;
    setup::require_tools(
        "what makes Debian packages",
        &[("dpkg-deb", "dpkg"), ("dpkg-shlibdeps", "dpkg-dev")],
    )?;
    let mut stage = Stage::new(materials.work.join("deb"), release.time)?;
    stage.add("usr", &files::common(materials, DEBIAN)?)?;
    stage.add("usr", &documents(workspace, materials)?)?;
    let depends = depends::of(materials)?;
    let control = control::text(release, &depends, stage.size()?);
    let sums = sums::of(&stage.root)?;
    stage.add(
        "DEBIAN",
        &[Entry::text("control", control), Entry::text("md5sums", sums)],
    )?;
    let root = stage.finish()?;
    scripts(&root)?;
    let path = output.join(format!(
        "airunner_{}_{}.deb",
        release.full(),
        release.platform.debian
    ));
    build(materials, &root, &path)?;
    Ok(path)
}

fn documents(workspace: &Workspace, materials: &Materials) -> anyhow::Result<Vec<Entry>> {
    let copyright = include_str!("../../../../debian/copyright");
    let compressed = |name: &str, text: &str| -> anyhow::Result<Entry> {
        Ok(Entry::bytes(
            format!("{DOCUMENTS}/{name}.gz"),
            tools::gzip(text.as_bytes())?,
        ))
    };
    Ok(vec![
        Entry::text(
            "share/lintian/overrides/airunner",
            include_str!("../../../../debian/lintian-overrides"),
        ),
        Entry::text(format!("{DOCUMENTS}/copyright"), copyright),
        compressed("THIRD-PARTY-NOTICES.txt", &notices::third_party(materials))?,
        compressed("ONNXRUNTIME-NOTICES.txt", &materials.library.notices)?,
        compressed("changelog.Debian", &release_notes::debian(&materials.release)?)?,
        compressed("changelog", &release_notes::of_workspace(workspace)?)?,
    ])
}

fn scripts(root: &Path) -> anyhow::Result<()> {
    for (name, text) in SCRIPTS {
        let path = root.join("DEBIAN").join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        stage::set_mode(&path, 0o755)?;
    }
    Ok(())
}

/// A trial is not made small, because that takes longest.
fn build(materials: &Materials, root: &Path, path: &Path) -> anyhow::Result<()> {
    let release = &materials.release;
    let mut command = Command::new("dpkg-deb");
    command.env("SOURCE_DATE_EPOCH", release.time.to_string());
    command.args(if release.trial {
        ["-Zgzip", "-z1"]
    } else {
        ["-Zxz", "-z9"]
    });
    command
        .args(["--root-owner-group", "--build"])
        .arg(root)
        .arg(path);
    process::output(&mut command).map(drop)
}
