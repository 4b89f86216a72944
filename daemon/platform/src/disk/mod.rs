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

/// Bytes of the disk that a file has already, which writing into it need not find; 0 if the system
/// does not say or there is no such file.
#[must_use]
pub fn occupied_space(file: &Path) -> u64 {
    os::occupied_space(file)
}
