use std::fs::File;
use std::io;
use std::path::Path;

pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// NTFS journals names by itself.
pub(super) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Files below the user's profile inherit its access list.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    File::create_new(path)
}

/// The access list of the user's profile says so.
pub(super) fn is_private(_file: &File) -> io::Result<bool> {
    Ok(true)
}
