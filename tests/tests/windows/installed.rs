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
        Self::called(programs, [])
    }

    /// With more arguments for whoever makes it, such as another version.
    pub(crate) fn called<const N: usize>(programs: &Path, arguments: [&str; N]) -> Self {
        let folder = tempfile::Builder::new().prefix("air-msi-").tempdir().unwrap();
        let mut command = Command::new(binary("xtask"));
        command.args(["package", "msi", "--programs"]).arg(programs);
        command.arg("--output").arg(folder.path()).args(arguments);
        let output = command.output().unwrap();
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
    pub(crate) installer: Installer,
}

impl Windows {
    pub(crate) async fn with(programs: &Path) -> Self {
        let wine = Wine::start().await;
        let windows = Self {
            root: wine.profile("AppData/Local/Programs/AI Runner"),
            wine,
            installer: Installer::of(programs),
        };
        windows.install(&windows.installer).await.succeeded();
        windows
    }

    pub(crate) async fn install(&self, installer: &Installer) -> CliOutput {
        let file = Wine::inside(&installer.file);
        self.wine.run("msiexec", ["/i", &file, "/qn"]).await
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

    /// Versions of AI Runner in the list of installed programs.
    pub(crate) async fn versions(&self) -> Vec<String> {
        let mut versions = Vec::new();
        for root in ["HKCU", "HKLM"] {
            let key = format!("{root}\\Software\\Microsoft\\Windows\\CurrentVersion\\Uninstall");
            let said = self.wine.run("reg", ["query", &key, "/s"]).await;
            let entries = said.stdout.split("HKEY_").map(str::to_owned);
            let value = |entry: &str, name: &str| {
                let line = entry.lines().find(|line| line.trim_start().starts_with(name))?;
                Some(line.split_once("REG_SZ")?.1.trim().to_owned())
            };
            versions.extend(
                entries
                    .filter(|entry| value(entry, "DisplayName").as_deref() == Some("AI Runner"))
                    .filter_map(|entry| value(&entry, "DisplayVersion")),
            );
        }
        versions
    }

    pub(crate) async fn uninstall(&self) {
        self.remove(&self.installer).await;
    }

    pub(crate) async fn remove(&self, installer: &Installer) {
        let file = Wine::inside(&installer.file);
        self.wine.run("msiexec", ["/x", &file, "/qn"]).await.succeeded();
    }
}
