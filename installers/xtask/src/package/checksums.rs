//! `SHA256SUMS`, for `sha256sum --check`.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::{setup, wheel};

const NAME: &str = "SHA256SUMS";

/// Of every package in the directory.
pub(super) fn write(directory: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in setup::files_below(directory)? {
        let name = file.to_string_lossy();
        if name != NAME {
            text += &format!("{}  {name}\n", wheel::sha256_of(&directory.join(&file))?);
        }
    }
    let path = directory.join(NAME);
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_sums_are_those_that_the_usual_tool_finds() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("one.deb"), "one").unwrap();
        fs::write(directory.path().join("two.tar.xz"), "two").unwrap();
        write(directory.path()).unwrap();
        write(directory.path()).unwrap();
        let sums = fs::read_to_string(directory.path().join(NAME)).unwrap();
        assert_eq!(sums.lines().count(), 2, "{sums}");
        let mut check = Command::new("sha256sum");
        let checked = check
            .args(["--check", "--strict", "--quiet", NAME])
            .current_dir(directory.path());
        assert!(checked.status().unwrap().success());
    }
}
