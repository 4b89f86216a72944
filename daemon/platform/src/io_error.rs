//! What an error of the operating system means to a caller.

use std::io;

use airunner_core::ErrorKind;

/// The kind to report; internal unless the user can do something about it.
#[must_use]
pub fn kind_of(error: &io::Error) -> ErrorKind {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the set is open and the rest means one thing"
    )]
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::DiskFull,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
        _ => ErrorKind::Internal,
    }
}
