//! Environments of Python and Node.js in the build directory, made from lists in the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use super::system;
use crate::{process, say};

/// What is written when an environment is complete: the files it was made from.
const STAMP: &str = "complete";

/// Makes an environment anew if what these files list was changed. Whether anything had to be done.
pub(super) fn stage(
    directory: &Path,
    scripts: &Path,
    files: &[&str],
    make: impl FnOnce(&Path, &Path) -> anyhow::Result<()>,
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

/// An environment for Python with what `requirements.txt` lists.
pub(super) fn python(directory: &Path, scripts: &Path) -> anyhow::Result<()> {
    python_with(directory, scripts, &[])
}

/// The same, for packages that are compiled here as these variables say.
pub(super) fn python_with(
    directory: &Path,
    scripts: &Path,
    variables: &[(&str, &str)],
) -> anyhow::Result<()> {
    let python = system::python_with_environments()?;
    process::visible(Command::new(python).args(["-m", "venv"]).arg(directory))?;
    say::note("fetching what it lists with pip");
    process::visible(
        Command::new(interpreter(directory))
            .args(["-m", "pip", "install", "--quiet", "--requirement"])
            .arg(scripts.join("requirements.txt"))
            .envs(variables.iter().copied()),
    )
}

/// The Python of an environment.
pub(super) fn interpreter(directory: &Path) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    directory.join(folder).join("python")
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
        let stage =
            |make: fn(&Path, &Path) -> anyhow::Result<()>| super::stage(&made, scripts, &["list"], make);
        assert!(stage(refuse).is_err());
        assert!(stage(make).unwrap());
        assert!(!stage(make).unwrap());
        fs::write(scripts.join("list"), "two").unwrap();
        fs::write(made.join("old"), "").unwrap();
        assert!(stage(make).unwrap());
        assert!(!made.join("old").exists());
    }
}
