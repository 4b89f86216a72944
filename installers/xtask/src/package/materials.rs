//! What every kind of package is made of, gathered once.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::documents::Documents;
use super::licences::{self, Crate};
use super::metadata::Release;
use super::programs::{self, Program};
use crate::say;
use crate::setup::{self, Shipped};
use crate::workspace::Workspace;

/// Programs, library, models and what belongs to them.
#[derive(Debug)]
pub(super) struct Materials {
    pub(super) release: Release,
    pub(super) programs: Vec<Program>,
    pub(super) library: Shipped,
    /// Files of the built-in models: their path below the folder of all, and where they are.
    pub(super) models: Vec<(String, PathBuf)>,
    /// File name and place.
    pub(super) icons: Vec<(String, PathBuf)>,
    pub(super) documents: Documents,
    /// Everything linked into the programs.
    pub(super) crates: Vec<Crate>,
    /// Where this run keeps what it makes on the way.
    pub(super) work: Work,
}

/// A directory that goes with whoever made it.
#[derive(Debug)]
pub(super) struct Work(PathBuf);

impl Work {
    /// Another one in every process: packages may be made beside each other.
    fn new(workspace: &Workspace) -> anyhow::Result<Self> {
        let name = format!("airunner-package-{}", std::process::id());
        let path = workspace.target.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            say::note(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

const TRAY: &str = "airunner-tray";
/// Where the tray keeps the icons that a desktop shows.
const ICONS: &str = "tray/icons/desktop";

impl Materials {
    pub(super) fn gather(
        workspace: &Workspace,
        release: Release,
        programs: Option<&Path>,
    ) -> anyhow::Result<Self> {
        setup::all(workspace)?;
        let platform = release.platform;
        let work = Work::new(workspace)?;
        // Before anything is built: whoever cannot fetch it should not wait for that.
        let library = setup::shipped_onnxruntime(workspace, platform.system, platform.processor)?;
        let built = match programs {
            Some(directory) => std::path::absolute(directory).context("there is no current directory")?,
            None => programs::build(workspace, platform)?,
        };
        say::step("gathering what is packaged");
        let programs = programs::gather(workspace, platform, &built, &work)?;
        let crates = licences::crates(workspace, platform, &programs)?;
        Ok(Self {
            documents: Documents::of(&built, platform, &work)?,
            library,
            models: models(workspace)?,
            icons: icons(workspace)?,
            release,
            programs,
            crates,
            work,
        })
    }

    pub(super) fn has_tray(&self) -> bool {
        self.programs.iter().any(|program| program.name == TRAY)
    }
}

fn models(workspace: &Workspace) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let directory = workspace.target.join("share/airunner/models/builtin");
    let mut models: Vec<(String, PathBuf)> = setup::files_below(&directory)?
        .into_iter()
        .map(|file| {
            // The same in every package, whatever separates folders here.
            let parts: Vec<_> = file.iter().map(|part| part.to_string_lossy()).collect();
            (parts.join("/"), directory.join(&file))
        })
        .collect();
    models.sort();
    Ok(models)
}

fn icons(workspace: &Workspace) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let directory = workspace.root.join(ICONS);
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let files = setup::files_below(&directory)?.into_iter();
    Ok(files
        .filter(|file| file.extension().is_some_and(|extension| extension == "svg"))
        .map(|file| (file.to_string_lossy().into_owned(), directory.join(&file)))
        .collect())
}

/// A release that no test has to build.
#[cfg(test)]
pub(super) fn sample() -> Materials {
    use super::platform::Platform;
    let program = |name: &str| Program {
        name: name.to_owned(),
        file: name.to_owned(),
        path: PathBuf::from("/build").join(name),
    };
    let file = |name: &str| (name.to_owned(), PathBuf::from("/source").join(name));
    Materials {
        release: Release {
            version: "1.2.3".to_owned(),
            revision: 1,
            trial: false,
            time: 1_790_000_000,
            platform: Platform::linux(),
        },
        programs: ["airunner", "airunner-tray", "airunnerd"].map(program).into(),
        library: Shipped {
            name: "libonnxruntime.so.1",
            version: "1.31.1",
            sha256: "ab".repeat(32),
            path: "/build/libonnxruntime.so.1".into(),
            licence: "licence of ONNX Runtime".to_owned(),
            notices: "notices of ONNX Runtime".to_owned(),
        },
        models: vec![file("helper/config.json"), file("helper/onnx/model.onnx")],
        icons: vec![file("airunner.svg")],
        documents: Documents {
            manuals: vec![("airunner.1".to_owned(), b".TH airunner".to_vec())],
            bash: "bash".to_owned(),
            zsh: "zsh".to_owned(),
            fish: "fish".to_owned(),
            units: vec![
                ("airunner.service".to_owned(), "[Service]\n".to_owned()),
                ("airunner.socket".to_owned(), "[Socket]\n".to_owned()),
            ],
            agents: vec![("dev.airunner.daemon.plist".to_owned(), "<plist/>\n".to_owned())],
        },
        crates: licences::sample(),
        work: Work(tempfile::tempdir().unwrap().keep()),
    }
}
