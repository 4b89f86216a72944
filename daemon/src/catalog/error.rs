//! What can be wrong with a list of models.

use std::io;
use std::path::PathBuf;

/// Lines count from one.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatalogError {
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is longer than {limit} bytes", path.display())]
    TooLong { path: PathBuf, limit: u64 },
    #[error("{} line {line}: this is not TOML: {message}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("{} line {line}: {message}", path.display())]
    Format {
        path: PathBuf,
        line: usize,
        message: String,
    },
    #[error("{} line {line}: the entry {entry:?} is left out: {message}", path.display())]
    Entry {
        path: PathBuf,
        line: usize,
        /// Its name, or what stands in its place.
        entry: String,
        message: String,
    },
}
