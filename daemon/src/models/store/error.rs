//! What can go wrong with packages on disk.

use std::io;
use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault, error};
use airunner_platform::io_error;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {action} {}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{} is not a directory on the daemon's machine: give the directory of a model package", path.display())]
    NotADirectory { path: PathBuf },
    #[error("a model called {name} is installed: remove it first or choose another name")]
    Exists { name: String },
    #[error("names that begin with builtin/ belong to the models that ship with the program")]
    Reserved,
    #[error("the package needs {needed} bytes and the disk of {} has {available}: make room first", path.display())]
    NoRoom {
        path: PathBuf,
        needed: u64,
        available: u64,
    },
    #[error("{} is a link that leaves the package: copy the package without links (`cp -rL`) and import that", path.display())]
    LinkOutside { path: PathBuf },
    #[error("{} is neither a file nor a directory: a package has nothing else", path.display())]
    Special { path: PathBuf },
    #[error("the name of {} is not plain Unicode text without backslashes", path.display())]
    BadName { path: PathBuf },
    #[error("{} has more than {limit} files or is nested deeper than {depth} directories", path.display())]
    TooLarge {
        path: PathBuf,
        limit: usize,
        depth: usize,
    },
    #[error("{} changed while it was copied: import it again", path.display())]
    Changed { path: PathBuf },
    #[error("the manifest {} is damaged", path.display())]
    Manifest {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("the manifest {} is of another program: {problem}", path.display())]
    Foreign { path: PathBuf, problem: String },
    #[error(
        "{} is in the cache of the hub on another disk, where its files cannot be linked to: import it without linking",
        path.display()
    )]
    OtherDisk { path: PathBuf },
    #[error("nothing was written down about the files of {name} when it was installed: reinstall it")]
    NoManifest { name: String },
    #[error("the file is {found} and not {expected}: send it again")]
    WrongDigest { expected: String, found: String },
    #[error("the file has more than the {limit} bytes that http.upload_limit allows")]
    TooLong { limit: u64 },
    #[error("the file needs {needed} bytes and the disk has {available}: make room first")]
    NoRoomForUpload { needed: u64, available: u64 },
    #[error("{limit} files are being sent: wait until one of them is here")]
    TooManyUploads { limit: usize },
    #[error("no file {digest} is here: send it to /api/blobs/{digest} first")]
    NoBlob { digest: String },
    #[error("{name:?} cannot be a file of a package: {reason}")]
    Unwanted { name: String, reason: &'static str },
    #[error("the import was given up")]
    Cancelled,
    #[error(transparent)]
    Package(Fault),
}

/// Names the operation and the path of an I/O error.
pub(super) fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| StoreError::File { action, path, source }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::File { source, .. } => io_error::kind_of(source),
            StoreError::NotADirectory { .. } => ErrorKind::NotFound,
            StoreError::Exists { .. } => ErrorKind::AlreadyExists,
            StoreError::Reserved => ErrorKind::PermissionDenied,
            StoreError::OtherDisk { .. }
            | StoreError::NoManifest { .. }
            | StoreError::WrongDigest { .. }
            | StoreError::TooLong { .. }
            | StoreError::NoBlob { .. }
            | StoreError::Unwanted { .. } => ErrorKind::InvalidArgument,
            StoreError::NoRoom { .. } | StoreError::NoRoomForUpload { .. } => ErrorKind::DiskFull,
            StoreError::TooManyUploads { .. } => ErrorKind::QueueFull,
            StoreError::LinkOutside { .. }
            | StoreError::Special { .. }
            | StoreError::BadName { .. }
            | StoreError::TooLarge { .. }
            | StoreError::Changed { .. }
            | StoreError::Manifest { .. }
            | StoreError::Foreign { .. } => ErrorKind::ModelInvalid,
            StoreError::Cancelled => ErrorKind::Cancelled,
            StoreError::Package(fault) => return fault.clone(),
        };
        Self::new(kind, error::chain(&error))
    }
}
