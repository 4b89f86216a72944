use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

pub(super) fn available_space(directory: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(directory).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}

pub(super) fn occupied_space(file: &Path) -> u64 {
    // Always in units of 512 bytes, whatever the disk's blocks are.
    std::fs::metadata(file).map_or(0, |metadata| metadata.blocks() * 512)
}
