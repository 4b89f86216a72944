//! Directories that belong to one user alone.

use std::io;
use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Why a directory cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum NotPrivate {
    #[error("it cannot be looked at")]
    Unreadable(#[source] io::Error),
    #[error("it is a symbolic link or not a directory: remove it")]
    NotADirectory,
    #[error("it belongs to the user with the id {0}: remove it or choose another place with AIRUNNER_HOME")]
    OtherOwner(u32),
    #[error("others may enter it and that could not be changed")]
    Open(#[source] io::Error),
}

/// Creates a directory, and its missing parents, for this user alone. One that exists is left
/// as it is.
pub fn create(path: &Path) -> io::Result<()> {
    os::create(path)
}

/// Checks that the directory is real, this user's, and closed to others; closes it if need be.
pub fn check(path: &Path) -> Result<(), NotPrivate> {
    os::check(path)
}

/// True if the path is a directory of this user.
#[must_use]
pub fn is_mine(path: &Path) -> bool {
    os::is_mine(path)
}
