use std::path::Path;

pub(super) fn available_space(directory: &Path) -> Option<u64> {
    let status = rustix::fs::statvfs(directory).ok()?;
    status.f_bavail.checked_mul(status.f_frsize)
}
