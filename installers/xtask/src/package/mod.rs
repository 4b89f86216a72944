//! What a release consists of: packages for each system, their checksums and a bill of materials.
//!
//! Everything is put together from one list of files ([`files`]) that differs between kinds only
//! where the systems differ. The same commit gives the same bytes: times come from the commit,
//! owners are root, and every list is sorted.

mod checksums;
mod deb;
mod documents;
mod files;
mod licences;
mod macos;
mod materials;
mod metadata;
mod msi;
mod notices;
mod platform;
mod portable;
mod programs;
mod release_notes;
mod rpm;
mod sbom;
mod snap;
mod stage;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::say;
use crate::workspace::Workspace;
use materials::Materials;
use metadata::Release;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// What to make; `all` makes what this machine can
    #[arg(value_enum)]
    kind: Kind,
    /// Package the programs of this directory as they are instead of building a release: for tests,
    /// and marked as a trial in its version
    #[arg(long, value_name = "DIRECTORY")]
    programs: Option<PathBuf>,
    /// Call the package this version instead of the workspace's: for tests of upgrades
    #[arg(long, value_name = "VERSION", requires = "programs")]
    as_version: Option<String>,
    /// Counts packages of the same version
    #[arg(long, default_value_t = 1, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
    /// Where the packages go; `package` of the build directory unless given
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Debian, Ubuntu and their relatives
    Deb,
    /// Fedora, openSUSE and their relatives
    Rpm,
    /// Snap, put together without snapcraft
    Snap,
    /// Windows Installer
    Msi,
    /// macOS; needs a Mac
    Pkg,
    /// A directory that runs from anywhere
    Tar,
    /// The list of everything that is inside, as CycloneDX
    Sbom,
    All,
}

impl Kind {
    /// What `all` makes on this system.
    const fn here() -> &'static [Self] {
        if cfg!(target_os = "macos") {
            &[Self::Pkg, Self::Tar, Self::Sbom]
        } else if cfg!(windows) {
            &[Self::Sbom]
        } else {
            &[Self::Deb, Self::Rpm, Self::Snap, Self::Tar, Self::Sbom]
        }
    }
}

/// Makes packages and writes their paths, the last one in the last line of standard output.
pub(crate) fn package(workspace: &Workspace, options: &Options) -> anyhow::Result<()> {
    let output = match &options.output {
        Some(directory) => std::path::absolute(directory).context("there is no current directory")?,
        None => workspace.target.join("package"),
    };
    fs::create_dir_all(&output).with_context(|| format!("cannot create {}", output.display()))?;
    let mut release = Release::of(workspace, options.revision, options.programs.is_some())?;
    if let Some(version) = &options.as_version {
        release.version.clone_from(version);
    }
    if options.kind == Kind::Msi {
        release.platform = platform::WINDOWS;
        msi::require_tools()?;
    }
    let materials = Materials::gather(workspace, release, options.programs.as_deref())?;
    let kinds = if options.kind == Kind::All {
        Kind::here()
    } else {
        &[options.kind]
    };
    let mut made = Vec::new();
    for kind in kinds {
        let path = make(workspace, &materials, *kind, &output)?;
        describe(&path)?;
        made.push(path);
    }
    checksums::write(&output)?;
    made.iter()
        .try_for_each(|path| say::result(&path.display().to_string()))
}

fn make(workspace: &Workspace, materials: &Materials, kind: Kind, output: &Path) -> anyhow::Result<PathBuf> {
    match kind {
        Kind::Deb => deb::make(workspace, materials, output),
        Kind::Rpm => rpm::make(workspace, materials, output),
        Kind::Snap => snap::make(workspace, materials, output),
        Kind::Msi => msi::make(workspace, materials, output),
        Kind::Pkg => macos::make(workspace, materials, output),
        Kind::Tar => portable::make(workspace, materials, output),
        Kind::Sbom => sbom::make(materials, output),
        Kind::All => bail!("`all` is not one kind"),
    }
}

fn describe(path: &Path) -> anyhow::Result<()> {
    let metadata = fs::metadata(path).with_context(|| format!("{} was not made", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let megabytes = metadata.len() as f64 / 1e6;
    say::step(&format!("{name}: {megabytes:.1} MB"));
    Ok(())
}
