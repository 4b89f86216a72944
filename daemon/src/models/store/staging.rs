//! Packages that are put together out of sight and appear complete.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use airunner_core::ModelName;
use airunner_core::model::Source;
use airunner_platform::{files, private};
use airunner_runtimes::package::{MANIFEST, inspect};

use super::error::{StoreError, at};
use super::manifest::{Manifest, ManifestFile};
use super::{INCOMING, Installed, Store};

/// A directory that becomes a package, or is removed when dropped.
pub(crate) struct Staging(PathBuf);

/// What is known of a package whose files came from a hub.
pub(crate) struct Fetched<'f> {
    pub(crate) name: &'f ModelName,
    pub(crate) source: Source,
    /// What the names of the files begin with in the repository.
    pub(crate) hub_directory: &'f str,
    pub(crate) files: Vec<ManifestFile>,
}

impl Store {
    /// An empty directory beside the packages.
    pub(crate) fn stage(&self) -> Result<Staging, StoreError> {
        let staging = Staging(self.hidden(INCOMING));
        private::create(&staging.0).map_err(at("create", &staging.0))?;
        Ok(staging)
    }

    /// Checks a package whose files are all there and flushed, and makes it a model.
    pub(crate) fn publish_fetched(
        &self,
        staging: Staging,
        fetched: Fetched<'_>,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Installed, StoreError> {
        let summary = inspect(staging.directory()).map_err(StoreError::Package)?;
        for warning in &summary.warnings {
            tracing::warn!(model = %fetched.name, "{warning}");
        }
        let mut manifest = Manifest::new(
            fetched.name,
            summary.kind,
            summary.format,
            &fetched.source,
            fetched.files,
        );
        manifest.hub_directory = Some(fetched.hub_directory.to_owned()).filter(|prefix| !prefix.is_empty());
        self.publish(staging, fetched.name, &manifest, is_cancelled)
    }

    pub(super) fn publish(
        &self,
        staging: Staging,
        name: &ModelName,
        manifest: &Manifest,
        is_cancelled: &dyn Fn() -> bool,
    ) -> Result<Installed, StoreError> {
        let manifest_path = staging.0.join(MANIFEST);
        let mut output = (self.create)(&manifest_path).map_err(at("create", &manifest_path))?;
        manifest.write(&mut *output, &manifest_path)?;
        if manifest.directory.is_none() {
            staging.sync(&manifest.files)?;
        }
        files::sync_directory(&staging.0).map_err(at("write", &staging.0))?;
        let target = self.place(name);
        if is_cancelled() {
            return Err(StoreError::Cancelled);
        }
        match fs::rename(&staging.0, &target) {
            Ok(()) => {}
            Err(error) if is_taken(&error) => return Err(exists(name)),
            Err(error) => return Err(at("publish", &target)(error)),
        }
        staging.published();
        files::sync_directory(&self.directory).map_err(at("write", &self.directory))?;
        manifest.installed(&target, name.clone())
    }
}

impl Staging {
    pub(crate) fn directory(&self) -> &Path {
        &self.0
    }

    /// Gives a file that is there already a name in the package; a copy of it where the file
    /// system has no second names. One that is in the package stays.
    pub(crate) fn place(&self, path: &str, from: &Path) -> Result<(), StoreError> {
        let target = self.target(path)?;
        if target.exists() || fs::hard_link(from, &target).is_ok() {
            return Ok(());
        }
        fs::copy(from, &target).map_err(at("copy", from))?;
        let written = fs::File::options().write(true).open(&target);
        written
            .and_then(|file| file.sync_all())
            .map_err(at("write", &target))
    }

    /// Gives a file that is there already a second name in the package.
    pub(super) fn link(&self, path: &str, from: &Path) -> Result<(), StoreError> {
        let target = self.target(path)?;
        fs::hard_link(from, &target).map_err(|_| StoreError::OtherDisk {
            path: from.to_path_buf(),
        })
    }

    fn target(&self, path: &str) -> Result<PathBuf, StoreError> {
        let target = self.0.join(path);
        if let Some(parent) = target.parent() {
            private::create(parent).map_err(at("create", parent))?;
        }
        Ok(target)
    }

    /// Makes sure that the names of the files survive a power failure.
    fn sync(&self, files: &[ManifestFile]) -> Result<(), StoreError> {
        let inside = files
            .iter()
            .flat_map(|file| Path::new(&file.path).ancestors().skip(1));
        let directories: BTreeSet<&Path> = inside.filter(|path| !path.as_os_str().is_empty()).collect();
        for directory in directories {
            let path = self.0.join(directory);
            files::sync_directory(&path).map_err(at("write", &path))?;
        }
        Ok(())
    }

    fn published(mut self) {
        self.0 = PathBuf::new();
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.0.as_os_str().is_empty() {
            return;
        }
        match fs::remove_dir_all(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %self.0.display(), %error, "an abandoned import stays until the next start");
            }
        }
    }
}

pub(super) fn exists(name: &ModelName) -> StoreError {
    StoreError::Exists {
        name: name.to_string(),
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory
    )
}
