//! Checksums of the files of a copy, so that one that changed on the disk answers nobody.
//!
//! Packed weights of our own carry theirs in their index; all other files are sealed here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use airunner_kernels::{Parallel as _, Threads};
use serde::{Deserialize, Serialize};

/// A checksum is computed in pieces of this size, bytes.
const PIECE: u64 = 4 << 20;

/// What a file was when the copy was finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seal {
    bytes: u64,
    /// CRC-32 of each piece.
    crc32: Vec<u32>,
}

/// By names of files.
pub(super) type Seals = BTreeMap<String, Seal>;

/// Why a copy is not what it was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("its description does not say what its files were")]
    Unsealed,
    #[error("{file} has changed on the disk")]
    Changed { file: String },
}

impl SealError {
    /// Whether the copy is why, and not the machine.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Read { source, .. } => is_damage(source),
            Self::Unsealed | Self::Changed { .. } => true,
        }
    }
}

/// Whether a file that cannot be read is missing or cut short. All else, such as too many open
/// files, may be otherwise the next time.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::InvalidData
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::FileTooLarge
    )
}

/// Seals all files of a directory but some.
pub(super) fn seal(directory: &Path, except: &[&str]) -> Result<Seals, SealError> {
    let read = |source| SealError::Read {
        path: directory.to_owned(),
        source,
    };
    let mut seals = Seals::new();
    for entry in fs::read_dir(directory).map_err(read)? {
        let name = entry.map_err(read)?.file_name();
        let Some(name) = name.to_str().filter(|name| !except.contains(name)) else {
            continue;
        };
        let path = directory.join(name);
        let failed = |source| SealError::Read {
            path: path.clone(),
            source,
        };
        let bytes = fs::metadata(&path).map_err(failed)?.len();
        let pieces = (0..bytes.div_ceil(PIECE)).map(|number| checksum(&path, number));
        let crc32 = pieces.collect::<io::Result<_>>().map_err(failed)?;
        seals.insert(name.to_owned(), Seal { bytes, crc32 });
    }
    Ok(seals)
}

/// Compares all sealed files with what they were, on several threads.
pub(super) fn check(directory: &Path, seals: &Seals, threads: usize) -> Result<(), SealError> {
    let mut pieces = Vec::new();
    for (file, seal) in seals {
        let path = directory.join(file);
        let failed = |source| SealError::Read {
            path: path.clone(),
            source,
        };
        if fs::metadata(&path).map_err(failed)?.len() != seal.bytes {
            return Err(SealError::Changed { file: file.clone() });
        }
        let numbers = 0..seal.bytes.div_ceil(PIECE);
        if numbers.end != seal.crc32.len() as u64 {
            return Err(SealError::Unsealed);
        }
        pieces.extend(
            numbers
                .zip(&seal.crc32)
                .map(|(number, crc32)| (file, number, *crc32)),
        );
    }
    let first = Mutex::new(None);
    Threads(threads).run(pieces.len(), &|number| {
        let (file, number, expected) = pieces[number];
        let path = directory.join(file);
        let error = match checksum(&path, number) {
            Ok(found) if found == expected => return,
            Ok(_) => SealError::Changed { file: file.clone() },
            Err(source) => SealError::Read { path, source },
        };
        let mut first = first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(error);
    });
    let first = first.into_inner().unwrap_or_else(PoisonError::into_inner);
    first.map_or(Ok(()), Err)
}

/// Of one piece of a file.
fn checksum(path: &Path, number: u64) -> io::Result<u32> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(number * PIECE))?;
    let mut piece = Vec::new();
    file.take(PIECE).read_to_end(&mut piece)?;
    Ok(crc32fast::hash(&piece))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_of_every_sealed_file_counts() {
        let home = tempfile::tempdir().unwrap();
        let long: Vec<u8> = (0..PIECE + 5).map(|place| place as u8).collect();
        for (name, content) in [("a", &b"short"[..]), ("b", &long), ("c", b""), ("left out", b"x")] {
            fs::write(home.path().join(name), content).unwrap();
        }
        let seals = seal(home.path(), &["left out"]).unwrap();
        assert_eq!(seals.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        fs::write(home.path().join("left out"), "y").unwrap();
        check(home.path(), &seals, 3).unwrap();
        let damaged = |name: &str, content: &[u8]| {
            let path = home.path().join(name);
            let whole = fs::read(&path).unwrap();
            fs::write(&path, content).unwrap();
            let error = check(home.path(), &seals, 3).unwrap_err();
            fs::write(&path, whole).unwrap();
            assert!(error.is_damage() && error.to_string().contains(name), "{error}");
        };
        damaged("a", b"shorT");
        damaged("a", b"");
        damaged("c", b"more");
        for place in [0, long.len() - 1] {
            let mut flipped = long.clone();
            flipped[place] ^= 16;
            damaged("b", &flipped);
        }
        fs::remove_file(home.path().join("a")).unwrap();
        assert!(check(home.path(), &seals, 1).unwrap_err().is_damage());
    }

    #[test]
    fn a_machine_that_cannot_read_is_no_damage() {
        for (error, is_damaged) in [
            (io::ErrorKind::NotFound, true),
            (io::ErrorKind::UnexpectedEof, true),
            (io::ErrorKind::OutOfMemory, false),
            (io::ErrorKind::PermissionDenied, false),
            (io::ErrorKind::Interrupted, false),
        ] {
            assert_eq!(is_damage(&error.into()), is_damaged, "{error}");
        }
        #[cfg(unix)]
        for number in [5, 12, 23, 24] {
            let error = io::Error::from_raw_os_error(number);
            assert!(!is_damage(&error), "{error}");
        }
    }
}
