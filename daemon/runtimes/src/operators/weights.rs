//! Packed weights beside a rewritten graph: one file that is mapped, and an index of it.
//!
//! Every matrix is compared with its checksum when the file is opened, on all threads: what was
//! cut short or has changed on the disk is found before it answers anybody. That also brings the
//! pages into memory, which the first request would do otherwise.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use airunner_kernels::matmul::{self, ALIGNMENT, Arrangement, Bits, LAYOUT_VERSION, MatmulError, Shape};
use airunner_kernels::{Parallel as _, Threads};
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::llm::prepack::seal;

/// A matrix in the mapped file.
pub(crate) type Matrix = matmul::Matrix<Mapped>;

pub(crate) const WEIGHTS_FILE: &str = "weights.pack";
pub(crate) const INDEX_FILE: &str = "weights.json";
const MAX_INDEX_BYTES: u64 = 16 << 20;
/// A checksum is computed in pieces of this size, bytes.
const PIECE: usize = 4 << 20;

/// Why packed weights cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WeightsError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is no index of packed weights: {source}")]
    Index {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("the weights are packed in form {found}, and this version reads {LAYOUT_VERSION}")]
    Form { found: u32 },
    #[error("the packed weights {key:?} are cut short")]
    Short { key: String },
    #[error("the packed weights {key:?} have changed on the disk")]
    Changed { key: String },
    #[error("the packed weights {key:?}")]
    Matrix { key: String, source: MatmulError },
}

impl WeightsError {
    /// Whether the files are why, and not the machine.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Read { source, .. } => seal::is_damage(source),
            Self::Index { .. }
            | Self::Form { .. }
            | Self::Short { .. }
            | Self::Changed { .. }
            | Self::Matrix { .. } => true,
        }
    }
}

/// What a file of packed weights holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Index {
    pub(super) layout: u32,
    pub(super) matrices: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where it begins in the file.
    pub(super) offset: u64,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) block: usize,
    pub(super) bits: u8,
    pub(super) zero_points: bool,
    pub(super) interleaved: bool,
    /// CRC-32 of each piece.
    pub(super) checksums: Vec<u32>,
}

impl Entry {
    pub(super) fn shape(&self) -> Result<Shape, MatmulError> {
        let bits = if self.bits == 8 { Bits::Eight } else { Bits::Four };
        Shape::new(self.rows, self.columns, self.block, bits, self.zero_points)
    }

    pub(super) fn arrangement(&self) -> Arrangement {
        if self.interleaved {
            Arrangement::Interleaved
        } else {
            Arrangement::Stacked
        }
    }
}

/// One checksum per piece.
pub(super) fn checksums(packed: &[u8]) -> Vec<u32> {
    packed.chunks(PIECE).map(crc32fast::hash).collect()
}

/// A range of a mapped file.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    map: Arc<Mmap>,
    range: Range<usize>,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[self.range.clone()]
    }
}

/// All packed weights of one graph.
pub(crate) struct Weights {
    matrices: BTreeMap<String, Arc<Matrix>>,
}

impl Weights {
    /// Maps and checks the weights that lie in a directory.
    pub(crate) fn open(directory: &Path, threads: usize) -> Result<Self, WeightsError> {
        let index = index(&directory.join(INDEX_FILE))?;
        let path = directory.join(WEIGHTS_FILE);
        let read = |source| WeightsError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(read)?;
        #[expect(unsafe_code, reason = "memmap2 offers no safe form")]
        // SAFETY: the file lies in a cache directory that only this user can write to, is complete
        // before it gets its name, and is deleted but never changed.
        let map = Arc::new(unsafe { Mmap::map(&file) }.map_err(read)?);
        let mut matrices = BTreeMap::new();
        let mut pieces = Vec::new();
        for (key, entry) in index.matrices {
            let named = |source| WeightsError::Matrix {
                key: key.clone(),
                source,
            };
            let shape = entry.shape().map_err(named)?;
            let arrangement = entry.arrangement();
            let range = range(&entry, shape.packed_bytes(arrangement), map.len());
            let range = range.ok_or_else(|| WeightsError::Short { key: key.clone() })?;
            let mapped = Mapped {
                map: Arc::clone(&map),
                range,
            };
            if mapped.as_ref().len().div_ceil(PIECE) != entry.checksums.len() {
                return Err(WeightsError::Short { key });
            }
            let checksums = entry.checksums.iter().copied().enumerate();
            pieces.extend(checksums.map(|(number, checksum)| Piece {
                key: key.clone(),
                mapped: mapped.clone(),
                number,
                checksum,
            }));
            let matrix = Matrix::open(shape, arrangement, mapped).map_err(named)?;
            matrices.insert(key, Arc::new(matrix));
        }
        check(&pieces, threads)?;
        Ok(Self { matrices })
    }

    pub(super) fn matrix(&self, key: &str) -> Option<Arc<Matrix>> {
        self.matrices.get(key).cloned()
    }
}

fn index(path: &Path) -> Result<Index, WeightsError> {
    let read = |source| WeightsError::Read {
        path: path.to_owned(),
        source,
    };
    let size = fs::metadata(path).map_err(read)?.len();
    if size > MAX_INDEX_BYTES {
        return Err(read(io::ErrorKind::FileTooLarge.into()));
    }
    let index: Index =
        serde_json::from_slice(&fs::read(path).map_err(read)?).map_err(|source| WeightsError::Index {
            path: path.to_owned(),
            source,
        })?;
    if index.layout != LAYOUT_VERSION {
        return Err(WeightsError::Form { found: index.layout });
    }
    Ok(index)
}

/// Where a matrix lies, if all of it is there.
fn range(entry: &Entry, bytes: usize, file: usize) -> Option<Range<usize>> {
    let start = usize::try_from(entry.offset).ok()?;
    let end = start.checked_add(bytes)?;
    (start.is_multiple_of(ALIGNMENT) && end <= file).then_some(start..end)
}

struct Piece {
    key: String,
    mapped: Mapped,
    number: usize,
    checksum: u32,
}

impl Piece {
    fn is_whole(&self) -> bool {
        let piece = self.mapped.as_ref().chunks(PIECE).nth(self.number);
        piece.is_some_and(|piece| crc32fast::hash(piece) == self.checksum)
    }
}

fn check(pieces: &[Piece], threads: usize) -> Result<(), WeightsError> {
    let changed = std::sync::Mutex::new(None);
    Threads(threads).run(pieces.len(), &|number| {
        let piece = &pieces[number];
        if !piece.is_whole() {
            let mut changed = changed.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            changed.get_or_insert_with(|| piece.key.clone());
        }
    });
    match changed
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
    {
        Some(key) => Err(WeightsError::Changed { key }),
        None => Ok(()),
    }
}
