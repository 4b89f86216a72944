//! Two packages of the programs of this build, one newer than the other.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use airunner_tests::binary;

/// `airunner_1.deb` and `airunner_2.deb`, made once for all scenarios.
pub(crate) struct Packages {
    folder: tempfile::TempDir,
}

const NAMES: [&str; 2] = ["airunner_1.deb", "airunner_2.deb"];

impl Packages {
    pub(crate) fn made() -> Result<&'static Self, String> {
        static MADE: OnceLock<Result<Packages, String>> = OnceLock::new();
        MADE.get_or_init(Self::make).as_ref().map_err(Clone::clone)
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        NAMES.iter().map(|name| self.folder.path().join(name)).collect()
    }

    /// The release is not built for this: it takes minutes, and what is looked at here is how the
    /// programs are installed and run.
    fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir_in("/var/tmp").map_err(|error| error.to_string())?;
        let programs = binary("airunner");
        let programs = programs.parent().expect("a program is in a folder");
        for (revision, name) in (1..).zip(NAMES) {
            let mut command = Command::new(binary("xtask"));
            command.args(["package", "deb", "--revision", &revision.to_string()]);
            command.arg("--programs").arg(programs);
            command.arg("--output").arg(folder.path().join("made"));
            let output = command.output().map_err(|error| error.to_string())?;
            let said = String::from_utf8_lossy(&output.stdout);
            let Some(path) = said.lines().last().filter(|_| output.status.success()) else {
                return Err(String::from_utf8_lossy(&output.stderr).into_owned());
            };
            std::fs::rename(path, folder.path().join(name)).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(Self { folder })
    }
}
