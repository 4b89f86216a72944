//! Directories below the user's profile inherit an access list of the user, the administrators
//! and the system.

use std::fs;
use std::io;
use std::path::Path;

use super::NotPrivate;

pub(super) fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

pub(super) fn check(path: &Path) -> Result<(), NotPrivate> {
    let metadata = fs::symlink_metadata(path).map_err(NotPrivate::Unreadable)?;
    if metadata.is_dir() {
        Ok(())
    } else {
        Err(NotPrivate::NotADirectory)
    }
}

pub(super) fn is_mine(path: &Path) -> bool {
    check(path).is_ok()
}
