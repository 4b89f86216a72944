//! Are the files of a package as they were published?

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use airunner_core::ModelName;
use airunner_core::download::FileProblem;
use airunner_platform::{files, private};

use super::Store;
use super::copy::read;
use super::error::{StoreError, at};
use super::manifest::{Manifest, ManifestFile};
use super::sources::SourceFile;

/// What was written down when a package was published.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    /// Where its files are.
    pub(crate) directory: PathBuf,
    /// What the names of the files begin with in the hub's repository.
    pub(crate) hub_directory: String,
    pub(crate) files: Vec<ManifestFile>,
}

impl Store {
    pub(crate) fn published(&self, name: &ModelName) -> Result<Published, StoreError> {
        if name.is_builtin() {
            return Err(StoreError::NoManifest {
                name: name.to_string(),
            });
        }
        let place = self.place(name);
        let manifest = Manifest::read(&place)?;
        Ok(Published {
            directory: manifest.package(&place).to_path_buf(),
            hub_directory: manifest.hub_directory.unwrap_or_default(),
            files: manifest.files,
        })
    }
}

impl Published {
    pub(crate) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Reads every file. `report` hears which file and how many bytes went by, and may end it.
    pub(crate) fn verify(
        &self,
        report: &mut dyn FnMut(&str, u64) -> Result<(), StoreError>,
    ) -> Result<Vec<FileProblem>, StoreError> {
        let mut problems = Vec::new();
        for file in &self.files {
            report(&file.path, 0)?;
            if let Some(problem) = self.problem(file, report)? {
                problems.push(FileProblem {
                    path: file.path.clone(),
                    problem,
                    repaired: false,
                });
            }
        }
        Ok(problems)
    }

    fn problem(
        &self,
        file: &ManifestFile,
        report: &mut dyn FnMut(&str, u64) -> Result<(), StoreError>,
    ) -> Result<Option<String>, StoreError> {
        let path = self.directory.join(&file.path);
        let found = path
            .canonicalize()
            .and_then(|real| Ok((real.metadata()?.len(), real)));
        let (size, real) = match found {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("missing".to_owned())),
            Err(error) => return Ok(Some(format!("cannot be read: {error}"))),
        };
        if size != file.size {
            return Ok(Some(format!("has {size} bytes instead of {}", file.size)));
        }
        let source = SourceFile {
            path: file.path.clone(),
            real,
            size,
            in_hub_cache: false,
        };
        match read(&source, &mut |bytes| report(&file.path, bytes.len() as u64)) {
            Ok(sha256) if sha256 == file.sha256 => Ok(None),
            Ok(_) => Ok(Some("has other contents".to_owned())),
            Err(StoreError::File { source, .. }) => Ok(Some(format!("cannot be read: {source}"))),
            Err(StoreError::Changed { .. }) => Ok(Some("changes while it is read".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Puts a sound file, which is flushed, into the place of a bad one, in one step.
    pub(crate) fn replace(&self, path: &str, from: &Path) -> Result<(), StoreError> {
        let target = self.directory.join(path);
        let plain = |path: &str| {
            Path::new(path)
                .components()
                .all(|component| matches!(component, Component::Normal(_)))
        };
        let parent = target.parent().filter(|_| plain(path));
        let parent = parent.ok_or_else(|| StoreError::BadName { path: target.clone() })?;
        private::create(parent).map_err(at("create", parent))?;
        // Hidden, so that nobody takes it for a part of the package if this is cut off.
        let beside = parent.join(".repaired");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at("remove", &beside)(error));
            }
            Ok(()) | Err(_) => {}
        }
        if fs::hard_link(from, &beside).is_err() {
            fs::copy(from, &beside).map_err(at("copy", from))?;
            let written = fs::File::options().write(true).open(&beside);
            written
                .and_then(|file| file.sync_all())
                .map_err(at("write", &beside))?;
        }
        fs::rename(&beside, &target).map_err(at("replace", &target))?;
        files::sync_directory(parent).map_err(at("write", parent))
    }
}
