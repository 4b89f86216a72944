//! The `.tar.xz`: one directory that runs from anywhere, because the programs find the rest by
//! where they are.

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

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    let platform = release.platform;
    let name = format!(
        "airunner-{}-{}-{}",
        release.upstream(),
        platform.system,
        platform.processor
    );
    let mut stage = Stage::new(materials.work.join("tar"), release.time)?;
    stage.add(&name, &files::common(materials, PORTABLE)?)?;
    stage.add(&name, &documents(workspace, materials)?)?;
    let root = stage.finish()?;
    let path = output.join(format!("{name}.tar.xz"));
    let mut command = Command::new("tar");
    command.args(["--create", "--sort=name", "--format=posix", "--numeric-owner"]);
    command.args(["--owner=0", "--group=0", "--pax-option=delete=atime,delete=ctime"]);
    command.arg(format!("--mtime=@{}", release.time));
    command.arg(if release.trial {
        "--use-compress-program=xz -0 -T0"
    } else {
        "--use-compress-program=xz -9 -T1"
    });
    command
        .arg("--file")
        .arg(&path)
        .arg("--directory")
        .arg(&root)
        .arg(&name);
    process::output(&mut command)?;
    Ok(path)
}

fn documents(workspace: &Workspace, materials: &Materials) -> anyhow::Result<Vec<Entry>> {
    let read = |name: &str| {
        fs::read_to_string(workspace.root.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let mut documents = vec![
        Entry::text("README.txt", include_str!("../../../linux/README.txt")),
        Entry::text(format!("{DOCUMENTS}/LICENSE"), read("LICENSE")?),
        Entry::text(format!("{DOCUMENTS}/CHANGELOG.md"), read("CHANGELOG.md")?),
    ];
    documents.extend(notices::entries(materials, DOCUMENTS));
    Ok(documents)
}
