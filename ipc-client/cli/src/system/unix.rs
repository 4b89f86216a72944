use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.permissions().mode() & 0o077 != 0)
}

/// How Linux marks the path of a file that has lost its name.
const GONE: &[u8] = b" (deleted)";

/// Only Linux tells what became of the file.
pub(super) fn program_was_replaced(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe"))
        .is_ok_and(|program| program.as_os_str().as_bytes().ends_with(GONE))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_whose_file_is_replaced_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let (program, other) = (directory.path().join("cat"), directory.path().join("other"));
        // Copied by a process of its own: the system runs no file that somebody has open for
        // writing, and what this process has open, one that another test is just starting has too.
        assert!(
            Command::new("cp")
                .arg("/bin/cat")
                .arg(&program)
                .status()
                .unwrap()
                .success()
        );
        let mut child = Command::new(&program).stdin(Stdio::piped()).spawn().unwrap();
        assert!(!program_was_replaced(child.id()));
        fs::copy("/bin/cat", &other).unwrap();
        fs::rename(&other, &program).unwrap();
        assert!(program_was_replaced(child.id()));
        // Its input ends, and so does it.
        drop(child.stdin.take());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn the_mode_decides() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, open) in [(0o600, false), (0o700, false), (0o640, true), (0o601, true)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_open_to_others(file.path()).unwrap(), open, "{mode:o}");
        }
    }
}
