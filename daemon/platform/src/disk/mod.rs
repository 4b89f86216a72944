//! Room on disks.

use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Bytes this user can still write below a directory; `None` if the system does not say.
#[must_use]
pub fn available_space(directory: &Path) -> Option<u64> {
    os::available_space(directory)
}
