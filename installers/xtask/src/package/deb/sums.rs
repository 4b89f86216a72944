//! Checksums by which `dpkg --verify` finds what was changed.

use std::path::Path;
use std::process::Command;

use crate::{process, setup};

/// Lines of `md5sum` for every file below the root, sorted.
pub(super) fn of(root: &Path) -> anyhow::Result<String> {
    let mut command = Command::new("md5sum");
    command.current_dir(root).args(setup::files_below(root)?);
    process::output(&mut command)
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_named_as_they_will_be_installed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/bin")).unwrap();
        fs::write(root.path().join("usr/bin/b"), "").unwrap();
        fs::write(root.path().join("usr/bin/a"), "").unwrap();
        let empty = "d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(
            of(root.path()).unwrap(),
            format!("{empty}  usr/bin/a\n{empty}  usr/bin/b\n")
        );
    }
}
