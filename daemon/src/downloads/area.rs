//! The directory in which contents are put together before they become files of a model.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use airunner_core::{Fault, error};
use airunner_platform::{disk, files, io_error, private};

use super::digest::Digest;

/// A file per content, named by its digest.
#[derive(Clone, Debug)]
pub(super) struct Area {
    directory: PathBuf,
}

/// Why a file of the area cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(super) struct AreaError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Names the operation and the path of an I/O error.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Fault {
    let path = path.to_path_buf();
    move |source| Fault::from(AreaError { action, path, source })
}

impl From<AreaError> for Fault {
    fn from(error: AreaError) -> Self {
        Self::new(io_error::kind_of(&error.source), error::chain(&error))
    }
}

impl Area {
    /// Makes the directory, and deletes what is not in `wanted`.
    pub(super) fn open(directory: PathBuf, wanted: &HashSet<String>) -> Result<Self, Fault> {
        private::create(&directory).map_err(at("create", &directory))?;
        let area = Self { directory };
        for entry in fs::read_dir(&area.directory).map_err(at("read", &area.directory))? {
            let entry = entry.map_err(at("read", &area.directory))?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if Digest::parse(&name).is_some() && !wanted.contains(&name) {
                remove(&entry.path())?;
            }
        }
        Ok(area)
    }

    pub(super) fn path(&self, digest: &Digest) -> PathBuf {
        self.directory.join(digest.to_string())
    }

    /// True if a file of that length is here, whatever is in it.
    pub(super) fn holds(&self, digest: &Digest, size: u64) -> bool {
        fs::symlink_metadata(self.path(digest)).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// An empty file of that length, or the one that is here; true if it was here.
    pub(super) fn prepare(&self, digest: &Digest, size: u64) -> Result<bool, Fault> {
        if self.holds(digest, size) {
            return Ok(true);
        }
        let path = self.path(digest);
        remove(&path)?;
        let file = fs::File::create_new(&path).map_err(at("create", &path))?;
        file.set_len(size).map_err(at("create", &path))?;
        files::sync_directory(&self.directory).map_err(at("write", &self.directory))?;
        Ok(false)
    }

    pub(super) fn remove(&self, digest: &Digest) -> Result<(), Fault> {
        remove(&self.path(digest))
    }

    /// Bytes that can still be written here.
    pub(super) fn room(&self) -> Option<u64> {
        disk::available_space(&self.directory)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }
}

fn remove(path: &Path) -> Result<(), Fault> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_that_is_not_whole_in_size_is_begun_anew() {
        let home = tempfile::tempdir().unwrap();
        let area = Area::open(home.path().join("downloads"), &HashSet::new()).unwrap();
        let digest = Digest::from_hex(&"ab".repeat(32)).unwrap();
        assert!(!area.prepare(&digest, 10).unwrap());
        assert!(area.prepare(&digest, 10).unwrap());
        fs::write(area.path(&digest), "short").unwrap();
        assert!(!area.prepare(&digest, 10).unwrap());
        assert_eq!(fs::read(area.path(&digest)).unwrap(), [0; 10]);
    }

    #[test]
    fn only_what_nobody_wants_is_deleted() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("downloads");
        let digests = ["ab", "cd"].map(|byte| Digest::from_hex(&byte.repeat(32)).unwrap());
        let area = Area::open(directory.clone(), &HashSet::new()).unwrap();
        for digest in &digests {
            area.prepare(digest, 1).unwrap();
        }
        fs::write(directory.join("somebody-elses"), "").unwrap();
        Area::open(directory.clone(), &HashSet::from([digests[0].to_string()])).unwrap();
        assert!(area.path(&digests[0]).exists() && !area.path(&digests[1]).exists());
        assert!(directory.join("somebody-elses").exists());
        area.remove(&digests[1]).unwrap();
    }
}
