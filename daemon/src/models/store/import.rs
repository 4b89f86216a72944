//! Bringing a package into the store.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use airunner_core::ModelName;
use airunner_core::model::{ImportProgress, ImportStage, Source};
use airunner_platform::{disk, files, private};
use airunner_runtimes::package::{MANIFEST, inspect};

use super::copy::copy;
use super::error::{StoreError, at};
use super::manifest::{Manifest, ManifestFile};
use super::sources::{self, SourceFile};
use super::{INCOMING, Installed, Store};

/// Follows an import and may end it.
pub trait Observer {
    fn progress(&self, progress: ImportProgress);
    fn is_cancelled(&self) -> bool;
}

/// Bytes between two reports.
const REPORT_EVERY: u64 = 8 << 20;

impl Store {
    /// Copies a package and makes it a model, or leaves nothing behind.
    pub fn import(
        &self,
        directory: &Path,
        name: &ModelName,
        installed: &[ModelName],
        observer: &dyn Observer,
    ) -> Result<Installed, StoreError> {
        if name.is_builtin() {
            return Err(StoreError::Reserved);
        }
        if installed.iter().any(|other| other.collides_with(name)) {
            return Err(exists(name));
        }
        report(observer, ImportStage::Checking, 0, 0)?;
        let found = sources::find(directory)?;
        if !found.iter().any(|file| file.in_hub_cache) {
            // A package that is refused is refused before a long copy.
            inspect(directory).map_err(StoreError::Package)?;
        }
        self.check_room(&found)?;
        let staging = Staging(self.hidden(INCOMING));
        private::create(&staging.0).map_err(at("create", &staging.0))?;
        let copied = self.copy_all(&found, &staging.0, observer)?;
        // The copy is what counts: the original may have changed since, and a package of a cache
        // whose files are links can be looked at only now.
        let summary = inspect(&staging.0).map_err(StoreError::Package)?;
        for warning in &summary.warnings {
            tracing::warn!(model = %name, "{warning}");
        }
        let total = found.iter().map(|file| file.size).sum();
        report(observer, ImportStage::Publishing, total, total)?;
        let origin = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let source = Source::Import(origin.unwrap_or_default());
        let manifest = Manifest::new(name, summary.kind, summary.format, &source, copied);
        self.publish(staging, name, &manifest, observer)
    }

    fn check_room(&self, found: &[SourceFile]) -> Result<(), StoreError> {
        let needed = found.iter().map(|file| file.size).sum();
        match disk::available_space(&self.directory) {
            Some(available) if available < needed => Err(StoreError::NoRoom {
                path: self.directory.clone(),
                needed,
                available,
            }),
            Some(_) | None => Ok(()),
        }
    }

    fn copy_all(
        &self,
        found: &[SourceFile],
        staging: &Path,
        observer: &dyn Observer,
    ) -> Result<Vec<ManifestFile>, StoreError> {
        let total = found.iter().map(|file| file.size).sum();
        let (mut done, mut reported) = (0, 0);
        let mut copied = |length: usize| {
            done += length as u64;
            if done - reported >= REPORT_EVERY || done == total {
                reported = done;
                report(observer, ImportStage::Copying, done, total)?;
            }
            if observer.is_cancelled() {
                Err(StoreError::Cancelled)
            } else {
                Ok(())
            }
        };
        let mut files = Vec::with_capacity(found.len());
        for file in found {
            let target = staging.join(&file.path);
            if let Some(parent) = target.parent() {
                private::create(parent).map_err(at("create", parent))?;
            }
            let sha256 = copy(file, &target, self.create, &mut copied)?;
            files.push(ManifestFile {
                path: file.path.clone(),
                size: file.size,
                sha256,
            });
        }
        Ok(files)
    }

    fn publish(
        &self,
        staging: Staging,
        name: &ModelName,
        manifest: &Manifest,
        observer: &dyn Observer,
    ) -> Result<Installed, StoreError> {
        let manifest_path = staging.0.join(MANIFEST);
        let mut output = (self.create)(&manifest_path).map_err(at("create", &manifest_path))?;
        manifest.write(&mut *output, &manifest_path)?;
        files::sync_directory(&staging.0).map_err(at("write", &staging.0))?;
        let target = self.place(name);
        if observer.is_cancelled() {
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

/// A directory that is removed unless it was published.
struct Staging(PathBuf);

impl Staging {
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

fn report(
    observer: &dyn Observer,
    stage: ImportStage,
    done_bytes: u64,
    total_bytes: u64,
) -> Result<(), StoreError> {
    if observer.is_cancelled() {
        return Err(StoreError::Cancelled);
    }
    observer.progress(ImportProgress {
        stage,
        done_bytes,
        total_bytes,
    });
    Ok(())
}

fn exists(name: &ModelName) -> StoreError {
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
