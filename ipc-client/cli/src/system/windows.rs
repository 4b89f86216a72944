use std::fs;
use std::io;
use std::path::Path;

/// What lies below the user's profile inherits an access list that keeps others out.
pub(super) fn is_open_to_others(path: &Path) -> io::Result<bool> {
    fs::symlink_metadata(path).map(|_| false)
}
