//! Why the database cannot be used.

use std::io;
use std::path::PathBuf;

use airunner_core::{ErrorKind, Fault, error};
use rusqlite::ErrorCode;

#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    #[error("cannot create the database {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("cannot open the database {}", path.display())]
    Open { path: PathBuf, source: rusqlite::Error },
    #[error(
        "the database {} is damaged ({problem}). It was left as it is. Move it aside to start with an empty one: \
         installed models are not in it, only what was learned and counted",
        path.display()
    )]
    Damaged { path: PathBuf, problem: String },
    #[error(
        "the database {} belongs to a newer AI Runner: it has version {found}, this program knows versions up to \
         {known}. It was left as it is. Install the newer program again, or move the database aside",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, known: u32 },
    #[error("the database {} is in use by another program: end that, and start again", path.display())]
    InUse { path: PathBuf },
    #[error("{} is a database of another program. It was left as it is. Move it aside", path.display())]
    Foreign { path: PathBuf },
    #[error("cannot bring the database {} to version {version}", path.display())]
    Migrate {
        path: PathBuf,
        version: u32,
        source: rusqlite::Error,
    },
    #[error("cannot start the thread of the database")]
    Thread(#[source] io::Error),
    #[error("the database refused")]
    Work(#[source] rusqlite::Error),
    #[error("the database has been closed")]
    Closed,
    #[error("work on the database failed by a defect")]
    Panicked,
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        let kind = match &error {
            StorageError::Create { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                ErrorKind::DiskFull
            }
            StorageError::Create { .. }
            | StorageError::Damaged { .. }
            | StorageError::Newer { .. }
            | StorageError::InUse { .. }
            | StorageError::Foreign { .. } => ErrorKind::StorageUnusable,
            StorageError::Open { source, .. }
            | StorageError::Migrate { source, .. }
            | StorageError::Work(source) => kind_of(source),
            StorageError::Closed => ErrorKind::ShuttingDown,
            StorageError::Thread(_) | StorageError::Panicked => ErrorKind::Internal,
        };
        Self::new(kind, error::chain(&error))
    }
}

fn kind_of(error: &rusqlite::Error) -> ErrorKind {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => ErrorKind::DiskFull,
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied,
        ) => ErrorKind::StorageUnusable,
        Some(_) | None => ErrorKind::Internal,
    }
}
