//! Where things are, and the only place that reads the environment.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::process;

/// The checkout and its build directory.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// `CARGO_TARGET_DIR`, or `target` of the checkout.
    pub(crate) target: PathBuf,
    /// The cargo that started this program.
    cargo: OsString,
    pub(crate) ort_dylib_path: Option<PathBuf>,
    /// `SOURCE_DATE_EPOCH`: when whatever is packaged was made.
    pub(crate) source_date_epoch: Option<String>,
}

/// What this program needs of `cargo metadata`.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
    pub(crate) workspace_root: PathBuf,
}

/// A member of the workspace.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
}

impl Workspace {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let cargo = variable("CARGO").unwrap_or_else(|| "cargo".into());
        // Asked for at run time: checkouts may share a build directory, and so this program.
        let manifest = variable("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let metadata = read_metadata(&cargo, &manifest)?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            cargo,
            ort_dylib_path: variable("ORT_DYLIB_PATH").map(PathBuf::from),
            source_date_epoch: variable("SOURCE_DATE_EPOCH")
                .map(|value| value.to_string_lossy().into_owned()),
        })
    }

    /// A cargo command in the checkout.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.cargo);
        command.args(arguments).current_dir(&self.root);
        command
    }

    /// Members of the workspace and what they depend on directly.
    pub(crate) fn metadata(&self) -> anyhow::Result<Metadata> {
        read_metadata(&self.cargo, &self.root)
    }

    /// Where downloads and tools are kept.
    pub(crate) fn cache(&self) -> PathBuf {
        self.target.join("airunner-setup")
    }
}

fn read_metadata(cargo: &OsString, directory: &Path) -> anyhow::Result<Metadata> {
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(directory);
    let text = process::output(&mut command)?;
    serde_json::from_str(&text).context("cannot read what `cargo metadata` said")
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place of xtask that reads the environment"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Directories of `PATH`.
pub(crate) fn search_path() -> Vec<PathBuf> {
    variable("PATH")
        .map(|path| std::env::split_paths(&path).collect())
        .unwrap_or_default()
}
