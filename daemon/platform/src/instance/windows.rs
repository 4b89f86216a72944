use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    options.open(path)
}

/// The lock file is never removed here, so it is always still there.
pub(super) fn is_still_at(_file: &File, _path: &Path) -> io::Result<bool> {
    Ok(true)
}

/// An empty file whose lock is gone harms nobody, and removing an open one does not free its name.
pub(super) const fn remove_lock_file(_path: &Path) {}
