//! An installation in the user's profile.

use std::path::{Path, PathBuf};
use std::process::Command;

use airunner_tests::{CliOutput, Wine, binary};
use serde_json::Value;

/// Made of the programs that were cross-built; removed when dropped.
pub(crate) struct Installer {
    folder: tempfile::TempDir,
    pub(crate) file: PathBuf,
}

impl Installer {
    pub(crate) fn of(programs: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("air-msi-").tempdir().unwrap();
        let mut command = Command::new(binary("xtask"));
        command.args(["package", "msi", "--programs"]).arg(programs);
        let output = command.arg("--output").arg(folder.path()).output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        // Scripts read the last line.
        let said = String::from_utf8(output.stdout).unwrap();
        let file = PathBuf::from(said.lines().last().unwrap());
        Self { folder, file }
    }

    /// A folder beside it.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Installed without a question.
pub(crate) struct Windows {
    pub(crate) wine: Wine,
    pub(crate) root: PathBuf,
    installer: Installer,
}

impl Windows {
    pub(crate) async fn with(programs: &Path) -> Self {
        let wine = Wine::start().await;
        let installer = Installer::of(programs);
        let file = Wine::inside(&installer.file);
        wine.run("msiexec", ["/i", &file, "/qn"]).await.succeeded();
        Self {
            root: wine.profile("AppData/Local/Programs/AI Runner"),
            wine,
            installer,
        }
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.root.join("bin").join(name)
    }

    /// Runs the installed `airunner`.
    pub(crate) async fn airunner<const N: usize>(&self, arguments: [&str; N]) -> CliOutput {
        self.wine.run(self.program("airunner.exe"), arguments).await
    }

    /// With `--json` as the last argument.
    pub(crate) async fn json<const N: usize>(&self, arguments: [&str; N]) -> Value {
        assert_eq!(arguments.last(), Some(&"--json"));
        self.airunner(arguments).await.succeeded().json()
    }

    /// What the registry has; `None` if it has nothing of that name.
    pub(crate) async fn registry(&self, key: &str, name: &str) -> Option<String> {
        let said = self.wine.run("reg", ["query", key, "/v", name]).await;
        let line = said
            .stdout
            .lines()
            .find(|line| line.trim_start().starts_with(name))?;
        let value = line.split("REG_").nth(1)?.split_once(' ')?.1;
        Some(value.trim().to_owned())
    }

    pub(crate) async fn uninstall(&self) {
        let file = Wine::inside(&self.installer.file);
        self.wine.run("msiexec", ["/x", &file, "/qn"]).await.succeeded();
    }
}
