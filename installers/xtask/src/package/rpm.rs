//! The `.rpm`, put together by `rpmbuild` from the same files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::files::{self, COMMON, DOCUMENTS, Entry};
use super::materials::Materials;
use super::metadata::{DESCRIPTION, MAINTAINER, Release, SUMMARY};
use super::notices;
use super::stage::Stage;
use crate::workspace::Workspace;
use crate::{process, setup};

const SPEC: &str = include_str!("../../../rpm/airunner.spec");

pub(super) fn make(workspace: &Workspace, materials: &Materials, output: &Path) -> anyhow::Result<PathBuf> {
    let release = &materials.release;
    release.platform.require("linux", ".rpm")?;
    setup::require_tools("what makes RPM packages", &[("rpmbuild", "rpm")])?;
    let mut stage = Stage::new(materials.work.join("rpm/stage"), release.time)?;
    let mut entries = files::common(materials, COMMON)?;
    entries.extend(documents(workspace, materials)?);
    stage.add("usr", &entries)?;
    let root = stage.finish()?;
    let spec = materials.work.join("rpm/airunner.spec");
    fs::write(&spec, text(release, &entries)?).with_context(|| format!("cannot write {}", spec.display()))?;
    build(materials, &root, &spec)?;
    let name = format!("airunner-{}.{}.rpm", release.full(), release.platform.processor);
    let made = top(materials)
        .join("RPMS")
        .join(release.platform.processor)
        .join(&name);
    if !made.is_file() {
        bail!("rpmbuild left no {}", made.display());
    }
    let path = output.join(name);
    fs::copy(&made, &path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn top(materials: &Materials) -> PathBuf {
    materials.work.join("rpm/top")
}

fn documents(workspace: &Workspace, materials: &Materials) -> anyhow::Result<Vec<Entry>> {
    let licence = fs::read_to_string(workspace.root.join("LICENSE")).context("cannot read LICENSE")?;
    let changes = super::release_notes::of_workspace(workspace)?;
    let mut documents = vec![
        Entry::text(format!("{DOCUMENTS}/CHANGELOG.md"), changes),
        Entry::text("share/licenses/airunner/LICENSE", licence),
    ];
    documents.extend(notices::entries(materials, "share/licenses/airunner"));
    Ok(documents)
}

/// The specification, with every file named: what is not is an error of rpmbuild's.
fn text(release: &Release, entries: &[Entry]) -> anyhow::Result<String> {
    let mut files: Vec<String> = entries.iter().map(line).collect();
    files.extend(OWN_DIRECTORIES.map(|directory| format!("%dir %attr(0755,root,root) /usr/{directory}")));
    files.sort();
    let values = [
        ("@VERSION@", release.upstream()),
        ("@REVISION@", release.revision.to_string()),
        ("@SUMMARY@", SUMMARY.to_owned()),
        ("@DESCRIPTION@", DESCRIPTION.join("\n\n")),
        ("@PACKAGER@", MAINTAINER.to_owned()),
        ("@DATE@", release.date("%a %b %d %Y")?),
        ("@FULL@", release.full()),
        ("@FILES@", files.join("\n")),
    ];
    let text = values
        .iter()
        .fold(SPEC.to_owned(), |text, (mark, value)| text.replace(mark, value));
    Ok(text)
}

/// Directories that no other package has.
const OWN_DIRECTORIES: [&str; 8] = [
    "lib/airunner",
    "share/airunner",
    "share/airunner/models",
    "share/airunner/models/builtin",
    "share/airunner/models/builtin/helper",
    "share/airunner/models/builtin/helper/onnx",
    "share/doc/airunner",
    "share/licenses/airunner",
];

fn line(entry: &Entry) -> String {
    let kind = match entry.path.as_str() {
        path if path.starts_with("share/licenses/") => "%license ",
        path if path.starts_with("share/doc/") || path.starts_with("share/man/") => "%doc ",
        _ => "",
    };
    format!("{kind}%attr({:04o},root,root) /usr/{}", entry.mode, entry.path)
}

fn build(materials: &Materials, root: &Path, spec: &Path) -> anyhow::Result<()> {
    let release = &materials.release;
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    let mut command = Command::new("rpmbuild");
    command.env("SOURCE_DATE_EPOCH", release.time.to_string());
    command.arg("-bb").args(["--target", release.platform.processor]);
    command.args(define("_topdir", &top(materials).display().to_string()));
    command.args(define("stage", &root.display().to_string()));
    command.args(define(
        "payload",
        if release.trial { "w1.gzdio" } else { "w19.zstdio" },
    ));
    process::output(command.arg(spec)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::materials::sample;
    use super::*;

    #[test]
    fn the_specification_names_every_file_and_leaves_no_mark() {
        let entries = files::common(&sample(), COMMON).unwrap();
        let text = text(&sample().release, &entries).unwrap();
        assert_eq!(
            text.matches('@').count(),
            2 * MAINTAINER.matches('@').count(),
            "{text}"
        );
        for line in [
            "Version: 1.2.3",
            "Release: 1",
            "%attr(0755,root,root) /usr/bin/airunnerd",
            "%attr(0644,root,root) /usr/lib/systemd/user/airunner.service",
            "%doc %attr(0644,root,root) /usr/share/man/man1/airunner.1.gz",
            "%dir %attr(0755,root,root) /usr/lib/airunner",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}
