//! Bringing a package into the store.

use std::path::Path;

use airunner_core::ModelName;
use airunner_core::model::{ImportProgress, ImportStage, Source};
use airunner_platform::{disk, private};
use airunner_runtimes::package::inspect;

use super::copy::{copy, read};
use super::error::{StoreError, at};
use super::manifest::{Manifest, ManifestFile};
use super::sources::{self, SourceFile};
use super::staging::exists;
use super::{Installed, Store};

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
        check_new_name(name, installed)?;
        report(observer, ImportStage::Checking, 0, 0)?;
        let found = sources::find(directory)?;
        if !found.iter().any(|file| file.in_hub_cache) {
            // A package that is refused is refused before a long copy.
            inspect(directory).map_err(StoreError::Package)?;
        }
        self.check_room(&found)?;
        let staging = self.stage()?;
        let copied = self.copy_all(&found, staging.directory(), observer)?;
        // The copy is what counts: the original may have changed since, and a package of a cache
        // whose files are links can be looked at only now.
        let summary = inspect(staging.directory()).map_err(StoreError::Package)?;
        warn(name, &summary.warnings);
        let total = found.iter().map(|file| file.size).sum();
        report(observer, ImportStage::Publishing, total, total)?;
        let origin = directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let source = Source::Import(origin.unwrap_or_default());
        let manifest = Manifest::new(name, summary.kind, summary.format, &source, copied);
        self.publish(staging, name, &manifest, &|| observer.is_cancelled())
    }

    /// Makes a package a model whose files stay where they are, or leaves nothing behind.
    pub fn link(
        &self,
        directory: &Path,
        name: &ModelName,
        installed: &[ModelName],
        observer: &dyn Observer,
    ) -> Result<Installed, StoreError> {
        check_new_name(name, installed)?;
        report(observer, ImportStage::Checking, 0, 0)?;
        let found = sources::find(directory)?;
        let directory = directory.canonicalize().map_err(at("follow", directory))?;
        let text = directory.to_str().ok_or_else(|| StoreError::BadName {
            path: directory.clone(),
        })?;
        let staging = self.stage()?;
        // In the cache of the hub names lead to files elsewhere: a package of such names would
        // not be read. Second names for these files are as good and take no room either.
        let in_hub_cache = found.iter().any(|file| file.in_hub_cache);
        for file in found.iter().filter(|_| in_hub_cache) {
            staging.link(&file.path, &file.real)?;
        }
        let package = if in_hub_cache {
            staging.directory()
        } else {
            &directory
        };
        let summary = inspect(package).map_err(StoreError::Package)?;
        warn(name, &summary.warnings);
        let files = hash_all(&found, observer)?;
        let total = found.iter().map(|file| file.size).sum();
        report(observer, ImportStage::Publishing, total, total)?;
        let source = Source::Linked(text.to_owned());
        let mut manifest = Manifest::new(name, summary.kind, summary.format, &source, files);
        manifest.directory = (!in_hub_cache).then(|| directory.clone());
        self.publish(staging, name, &manifest, &|| observer.is_cancelled())
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

    pub(super) fn copy_all(
        &self,
        found: &[SourceFile],
        staging: &Path,
        observer: &dyn Observer,
    ) -> Result<Vec<ManifestFile>, StoreError> {
        let total = found.iter().map(|file| file.size).sum();
        let mut copied = progress(total, observer);
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
}

fn hash_all(found: &[SourceFile], observer: &dyn Observer) -> Result<Vec<ManifestFile>, StoreError> {
    let mut hashed = progress(found.iter().map(|file| file.size).sum(), observer);
    found
        .iter()
        .map(|file| {
            Ok(ManifestFile {
                path: file.path.clone(),
                size: file.size,
                sha256: read(file, &mut |bytes| hashed(bytes.len()))?,
            })
        })
        .collect()
}

/// Counts bytes and tells of them now and then.
fn progress(total: u64, observer: &dyn Observer) -> impl FnMut(usize) -> Result<(), StoreError> + use<'_> {
    let (mut done, mut reported) = (0, 0);
    move |length| {
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
    }
}

pub(super) fn check_new_name(name: &ModelName, installed: &[ModelName]) -> Result<(), StoreError> {
    if name.is_builtin() {
        return Err(StoreError::Reserved);
    }
    if installed.iter().any(|other| other.collides_with(name)) {
        return Err(exists(name));
    }
    Ok(())
}

pub(super) fn warn(name: &ModelName, warnings: &[String]) {
    for warning in warnings {
        tracing::warn!(model = %name, "{warning}");
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
