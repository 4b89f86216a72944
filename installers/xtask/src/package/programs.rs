//! The programs of a package, without what only a debugger reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::materials::Work;
use super::platform::Platform;
use crate::workspace::Workspace;
use crate::{process, release, setup};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// Such as `airunner`.
    pub(super) name: String,
    /// Such as `airunner.exe`.
    pub(super) file: String,
    pub(super) path: PathBuf,
}

/// Builds the release and returns the directory of its programs.
pub(super) fn build(workspace: &Workspace, platform: Platform) -> anyhow::Result<PathBuf> {
    if Platform::here()? == platform {
        release::build(workspace)?;
        return Ok(workspace.target.join("release"));
    }
    setup::require_windows_compiler()?;
    process::visible(Command::new("rustup").args(["target", "add", platform.triple])).with_context(|| {
        format!(
            "Rust's standard library for {} is missing, and takes rustup to be had",
            platform.triple
        )
    })?;
    release::build_for(workspace, platform.triple)?;
    Ok(workspace.target.join(platform.triple).join("release"))
}

/// Copies what is shipped out of a build directory, stripped.
pub(super) fn gather(
    workspace: &Workspace,
    platform: Platform,
    built: &Path,
    work: &Work,
) -> anyhow::Result<Vec<Program>> {
    let directory = work.join("programs");
    fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let mut programs = Vec::new();
    for name in release::shipped(workspace)? {
        let file = format!("{}{}", name.program, platform.suffix);
        let source = built.join(&file);
        if !source.is_file() {
            bail!("{} is not there: is it built?", source.display());
        }
        let path = directory.join(&file);
        strip(platform, &source, &path)?;
        programs.push(Program {
            name: name.program.to_owned(),
            file,
            path,
        });
    }
    Ok(programs)
}

fn strip(platform: Platform, source: &Path, destination: &Path) -> anyhow::Result<()> {
    let mut command = match platform.system {
        "windows" => Command::new("x86_64-w64-mingw32-strip"),
        "linux" => Command::new("strip"),
        // Apple's linker leaves what a signature needs; its own tool would break it.
        _ => {
            fs::copy(source, destination).with_context(|| format!("cannot copy {}", source.display()))?;
            return Ok(());
        }
    };
    process::output(command.arg("--strip-all").arg("-o").arg(destination).arg(source))?;
    Ok(())
}
