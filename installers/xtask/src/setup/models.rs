//! The built-in models, copied to where the programs look for them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{say, wheel};

/// Built-in models: their name, and their package in the checkout.
const MODELS: [(&str, &str); 1] = [("helper", "installers/builtin-models/helper/package")];

pub(super) fn stage(workspace: &Workspace) -> anyhow::Result<()> {
    for (name, package) in MODELS {
        let source = workspace.root.join(package);
        if !source.is_dir() {
            bail!("the package of the built-in model {name} is missing: {package} is not in this checkout");
        }
        let destination = workspace.target.join("share/airunner/models/builtin").join(name);
        let changed = mirror(&source, &destination)?;
        let what = if changed == 0 {
            "in place".to_owned()
        } else {
            format!("{changed} files put in place")
        };
        say::note(&format!("built-in model {name}: {what}"));
    }
    Ok(())
}

/// Makes `destination` equal to `source` and returns how many files that took.
fn mirror(source: &Path, destination: &Path) -> anyhow::Result<usize> {
    let wanted = files_below(source)?;
    let mut changed = 0;
    for file in &wanted {
        changed += usize::from(copy_if_different(&source.join(file), &destination.join(file))?);
    }
    if destination.is_dir() {
        for extra in files_below(destination)?.difference(&wanted) {
            if extra.extension().is_some_and(|extension| extension == "partial") {
                continue; // Another set-up is writing this one.
            }
            let path = destination.join(extra);
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            changed += 1;
        }
    }
    Ok(changed)
}

fn copy_if_different(source: &Path, destination: &Path) -> anyhow::Result<bool> {
    let content = fs::read(source).with_context(|| format!("cannot read {}", source.display()))?;
    if fs::read(destination).is_ok_and(|present| present == content) {
        return Ok(false);
    }
    let parent = destination.parent().context("the destination has no directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let partial = wheel::partial_path(destination);
    fs::write(&partial, content).with_context(|| format!("cannot write {}", partial.display()))?;
    wheel::publish(&partial, destination)?;
    Ok(true)
}

/// Regular files below a directory, relative to it.
pub(crate) fn files_below(directory: &Path) -> anyhow::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(relative) = pending.pop() {
        let path = directory.join(&relative);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            let child = relative.join(entry.file_name());
            if entry.path().is_dir() {
                pending.push(child);
            } else {
                found.insert(child);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_follows_its_source_and_then_rests() {
        let directory = tempfile::tempdir().unwrap();
        let (source, destination) = (
            directory.path().join("source"),
            directory.path().join("destination"),
        );
        fs::create_dir_all(source.join("onnx")).unwrap();
        fs::write(source.join("config.json"), "{}").unwrap();
        fs::write(source.join("onnx/model.onnx"), "weights").unwrap();
        assert_eq!(mirror(&source, &destination).unwrap(), 2);
        assert_eq!(mirror(&source, &destination).unwrap(), 0);

        fs::write(source.join("config.json"), "{ }").unwrap();
        fs::remove_file(source.join("onnx/model.onnx")).unwrap();
        assert_eq!(mirror(&source, &destination).unwrap(), 2);
        assert_eq!(files_below(&destination).unwrap(), files_below(&source).unwrap());
    }
}
