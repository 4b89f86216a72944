//! Reading the small files of a package, which may be anything a stranger wrote.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault, chain};

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{} is not a regular file: import the package again", path.display())]
    NotAFile { path: PathBuf },
    #[error(
        "{} has {size} bytes, more than the {limit} such a file may have: it is not a usable package",
        path.display()
    )]
    TooLarge { path: PathBuf, size: u64, limit: u64 },
    #[error("{} cannot be read", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is not UTF-8 text: import the package again", path.display())]
    NotText { path: PathBuf },
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        Self::new(ErrorKind::ModelInvalid, chain(&error))
    }
}

/// The whole file, or `None` if there is none. Devices, pipes and files above `limit` bytes are
/// refused before anything is read.
pub(super) fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ReadError> {
    let failed = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !about.is_file() {
        return Err(ReadError::NotAFile {
            path: path.to_owned(),
        });
    }
    let too_large = |size| ReadError::TooLarge {
        path: path.to_owned(),
        size,
        limit,
    };
    if about.len() > limit {
        return Err(too_large(about.len()));
    }
    let mut bytes = Vec::with_capacity(about.len() as usize);
    // One byte more than allowed: the file may grow between the question and the reading.
    File::open(path)
        .map_err(failed)?
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(Some(bytes))
}

/// Like [`read`], as text.
pub(super) fn read_text(path: &Path, limit: u64) -> Result<Option<String>, ReadError> {
    read(path, limit)?
        .map(|bytes| {
            String::from_utf8(bytes).map_err(|_| ReadError::NotText {
                path: path.to_owned(),
            })
        })
        .transpose()
}
