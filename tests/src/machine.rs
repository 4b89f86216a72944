//! A bare Debian, booted under systemd, for what only a whole system can show.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::binaries::repository;

/// How `boot.sh` says that it is not possible here.
const IMPOSSIBLE: i32 = 77;

/// This computer can boot such machines.
#[derive(Clone, Copy, Debug)]
pub struct Machines(());

impl Machines {
    /// Or why it cannot.
    pub fn find() -> Result<Self, String> {
        if !cfg!(target_os = "linux") {
            return Err("no machine can be booted here: it takes Linux".to_owned());
        }
        let output = boot().arg("check").output();
        let output = output.map_err(|error| format!("cannot start bash: {error}"))?;
        if output.status.success() {
            Ok(Self(()))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        }
    }

    /// Boots a fresh machine with these files in `/root` and runs the script there as root. What it
    /// printed, or the same as an error if it failed.
    pub fn run(self, script: &Path, files: &[PathBuf]) -> Result<String, String> {
        let output = boot().arg(script).args(files).output();
        let Output {
            status,
            stdout,
            stderr,
        } = output.map_err(|error| format!("cannot start bash: {error}"))?;
        let said = String::from_utf8_lossy(&stdout).into_owned();
        match status.code() {
            Some(0) => Ok(said),
            Some(IMPOSSIBLE) => Err(String::from_utf8_lossy(&stderr).into_owned()),
            _ => Err(format!(
                "{said}\n{}\nthe scenario ended with {status}",
                String::from_utf8_lossy(&stderr)
            )),
        }
    }
}

/// The harness, with nothing on its input.
fn boot() -> Command {
    let mut command = Command::new("bash");
    command
        .arg(repository().join("tests/boot/boot.sh"))
        .stdin(Stdio::null());
    command
}
