//! The packages on disk: `models/<name>/`, as they were published, plus one manifest.
//!
//! A package appears under its name only when it is complete: it is copied into a hidden
//! directory beside it and renamed. A linked package has its manifest here and its files where
//! they were. What cannot be understood is reported and left alone.

mod assemble;
mod blobs;
mod copy;
mod derive;
mod digest;
mod error;
mod import;
mod made;
mod manifest;
mod scan;
mod sources;
mod staging;
mod verify;

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use airunner_core::ModelName;
use airunner_core::defaults::Defaults;
use airunner_core::model::{ModelKind, Source};

pub use assemble::Part;
pub use blobs::{Announced, BlobDigest};
use copy::{Output, create_file};
pub use derive::{Changes, Origin};
pub use digest::Card;
pub use error::StoreError;
pub(super) use import::Observer;
pub(crate) use manifest::ManifestFile;
pub(crate) use staging::{Fetched, Staging};
pub(crate) use verify::Published;

use error::at;

/// Beginnings of the names of directories that are not packages yet, or no longer.
const INCOMING: &str = ".incoming-";
const REMOVING: &str = ".removing-";

/// One package of the store, or one that ships with the program.
#[derive(Clone, Debug, PartialEq)]
pub struct Installed {
    pub name: ModelName,
    pub kind: ModelKind,
    pub size_bytes: u64,
    pub source: Source,
    pub directory: PathBuf,
    /// What somebody wants of its answers.
    pub defaults: Defaults,
}

/// The directory of installed packages and that of the built-in ones.
pub struct Store {
    directory: PathBuf,
    builtin: PathBuf,
    /// How files are made; replaced by tests that fill the disk.
    create: fn(&Path) -> io::Result<Box<dyn Output>>,
    count: AtomicU32,
    /// Files that clients are sending.
    receiving: blobs::Count,
}

impl Store {
    /// Makes the directory, and clears what an import or a removal that was cut off left behind.
    /// Only for whoever holds the instance lock.
    pub fn open(directory: PathBuf, builtin: PathBuf) -> Result<Self, StoreError> {
        airunner_platform::private::create(&directory).map_err(at("create", &directory))?;
        let store = Self {
            directory,
            builtin,
            create: create_file,
            count: AtomicU32::new(0),
            receiving: blobs::Count::new(0),
        };
        store.clear_leftovers()?;
        store.clear_received()?;
        Ok(store)
    }

    fn clear_leftovers(&self) -> Result<(), StoreError> {
        for entry in fs::read_dir(&self.directory).map_err(at("read", &self.directory))? {
            let entry = entry.map_err(at("read", &self.directory))?;
            let name = entry.file_name();
            let leftover = name
                .to_str()
                .is_some_and(|name| name.starts_with(INCOMING) || name.starts_with(REMOVING));
            if leftover {
                let path = entry.path();
                tracing::info!(path = %path.display(), "clearing what was left of an import or a removal");
                fs::remove_dir_all(&path).map_err(at("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Deletes a package; of one that is used where it is, only what the store knows about it.
    pub fn remove(&self, installed: &Installed) -> Result<(), StoreError> {
        // Out of sight first, in one step: half a package must never be seen.
        let doomed = self.hidden(REMOVING);
        let place = self.place(&installed.name);
        match fs::rename(&place, &doomed) {
            Ok(()) => {}
            // Somebody has deleted the files already.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at("remove", &place)(error)),
        }
        fs::remove_dir_all(&doomed).map_err(at("remove", &doomed))
    }

    /// Where the package of that name is, or its manifest alone.
    fn place(&self, name: &ModelName) -> PathBuf {
        self.directory.join(name.directory_name())
    }

    fn hidden(&self, prefix: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.directory
            .join(format!("{prefix}{}-{number}", std::process::id()))
    }
}
