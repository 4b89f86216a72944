//! Packs what the operators of a rewritten graph need, one matrix after the other.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use airunner_core::{ErrorKind, Fault};
use airunner_kernels::matmul::{self, ALIGNMENT, LAYOUT_VERSION, MatmulError, Scales};
use airunner_kernels::{Parallel, Threads};
use half::{bf16, f16};

use super::linear_matrix::Layout;
use super::weights::{Entry, INDEX_FILE, Index, WEIGHTS_FILE, checksums};
use crate::graph::{Arrangement, CodeBook, Form, PackTask, Place, TensorRef};
use crate::onnx::dtype;
use crate::package::{Files, PackageError};

/// Large matrices begin at a page.
const PAGE: u64 = 4096;
const _: () = assert!(PAGE.is_multiple_of(ALIGNMENT as u64));

/// Why weights were not packed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("cannot {action} {path}: {source}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("{key}: {source}")]
    Matrix { key: String, source: MatmulError },
    #[error("{key}: scales of element type {dtype} are not known")]
    Scales { key: String, dtype: i64 },
}

impl PackError {
    pub(crate) fn kind(&self) -> ErrorKind {
        match self {
            Self::Package(error) => error.kind(),
            Self::File { source, .. } if source.kind() == io::ErrorKind::StorageFull => ErrorKind::DiskFull,
            Self::File { .. } => ErrorKind::Internal,
            Self::Matrix { .. } | Self::Scales { .. } => ErrorKind::ModelInvalid,
        }
    }
}

impl From<PackError> for Fault {
    fn from(error: PackError) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}

/// Writes the packed weights and their index into a directory that is there. Holds one matrix in
/// memory at a time, twice.
pub(crate) fn pack(
    tasks: &[PackTask],
    files: &Files,
    directory: &Path,
    threads: usize,
) -> Result<(), PackError> {
    let path = directory.join(WEIGHTS_FILE);
    let failed = |source| PackError::File {
        action: "write",
        path: path.clone(),
        source,
    };
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    let mut end = 0_u64;
    let mut matrices = BTreeMap::new();
    for task in tasks {
        let (mut entry, packed) = packed(task, files, &Threads(threads))?;
        entry.offset = end.next_multiple_of(PAGE);
        let padding = io::copy(&mut io::repeat(0).take(entry.offset - end), &mut file);
        padding.and_then(|_| file.write_all(&packed)).map_err(failed)?;
        end = entry.offset + packed.len() as u64;
        matrices.insert(task.key.clone(), entry);
    }
    file.flush().map_err(failed)?;
    let index = Index {
        layout: LAYOUT_VERSION,
        matrices,
    };
    let path = directory.join(INDEX_FILE);
    let text = serde_json::to_vec(&index).map_err(io::Error::other);
    text.and_then(|text| fs::write(&path, text))
        .map_err(|source| PackError::File {
            action: "write",
            path: path.clone(),
            source,
        })
}

fn packed(task: &PackTask, files: &Files, parallel: &dyn Parallel) -> Result<(Entry, Vec<u8>), PackError> {
    let sources: Vec<Bytes> = task
        .sources
        .iter()
        .map(|source| Bytes::read(source, task, files))
        .collect::<Result<_, _>>()?;
    let mut entry = Entry {
        offset: 0,
        rows: size(task.rows()),
        columns: size(task.columns),
        block: size(task.block),
        bits: if task.bits == 8 { 8 } else { 4 },
        zero_points: sources.iter().any(|source| source.zero_points.is_some()),
        interleaved: task.arrangement == Arrangement::Interleaved,
        checksums: Vec::new(),
    };
    let named = |source| PackError::Matrix {
        key: task.key.clone(),
        source,
    };
    let shape = entry.shape().map_err(named)?;
    let arrangement = entry.arrangement();
    let mut out = vec![0; shape.packed_bytes(arrangement)];
    let sources: Vec<matmul::Source<'_>> = sources.iter().map(Bytes::source).collect();
    matmul::pack(shape, arrangement, &sources, &mut out, parallel).map_err(named)?;
    entry.checksums = checksums(&out);
    Ok((entry, out))
}

/// Weights, scales and zero points of a source in the form of `MatMulNBits`.
#[cfg(test)]
#[expect(clippy::type_complexity, reason = "taken apart where it is made")]
pub(crate) fn in_blocks(
    source: &crate::graph::Source,
    task: &PackTask,
    files: &Files,
) -> Result<(Vec<u8>, Vec<f32>, Option<Vec<u8>>), PackError> {
    let bytes = Bytes::read(source, task, files)?;
    let scales = match bytes.scales {
        Numbers::F32(scales) => scales,
        Numbers::F16(scales) => scales.iter().map(|scale| scale.to_f32()).collect(),
        Numbers::Bf16(scales) => scales.iter().map(|scale| scale.to_f32()).collect(),
    };
    Ok((bytes.weights, scales, bytes.zero_points))
}

/// Sizes that are too large for this machine are refused with the shape they make.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A quantized matrix as it is read from its files.
struct Bytes {
    rows: usize,
    weights: Vec<u8>,
    scales: Numbers,
    zero_points: Option<Vec<u8>>,
}

enum Numbers {
    F32(Vec<f32>),
    F16(Vec<f16>),
    Bf16(Vec<bf16>),
}

impl Bytes {
    fn read(source: &crate::graph::Source, task: &PackTask, files: &Files) -> Result<Self, PackError> {
        let scales = read(&source.scales, files)?;
        let halves = || {
            scales
                .chunks_exact(2)
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        };
        let scales = match source.scales.dtype {
            dtype::FLOAT => {
                let words = scales.chunks_exact(4);
                Numbers::F32(
                    words
                        .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
                        .collect(),
                )
            }
            dtype::FLOAT16 => Numbers::F16(halves().map(f16::from_bits).collect()),
            dtype::BFLOAT16 => Numbers::Bf16(halves().map(bf16::from_bits).collect()),
            dtype => {
                return Err(PackError::Scales {
                    key: task.key.clone(),
                    dtype,
                });
            }
        };
        let zero_points = source.zero_points.as_ref().map(|tensor| read(tensor, files));
        let as_read = Self {
            rows: size(source.rows),
            weights: read(&source.weights, files)?,
            scales,
            zero_points: zero_points.transpose()?,
        };
        Ok(match source.form {
            Form::Blocks => as_read,
            Form::Codes(book) => as_read.looked_up(book),
            Form::Columns { block } => as_read.in_blocks(source, task, block, true),
            Form::Rows { block } => as_read.in_blocks(source, task, block, false),
        })
    }

    /// The numbers of a book as `MatMulNBits` would have them with 8 bits.
    fn looked_up(self, book: CodeBook) -> Self {
        let middle = 128_u8;
        let numbers = book.numbers().map(|number| middle.wrapping_add_signed(number));
        let weights = self.weights.iter();
        let weights = weights.flat_map(|&two| [two >> 4, two & 15].map(|at| numbers[usize::from(at)]));
        let unit = |greatest: f32| greatest / 127.0;
        Self {
            weights: weights.collect(),
            scales: Numbers::F32(match &self.scales {
                Numbers::F32(scales) => scales.iter().map(|&scale| unit(scale)).collect(),
                Numbers::F16(scales) => scales.iter().map(|scale| unit(scale.to_f32())).collect(),
                Numbers::Bf16(scales) => scales.iter().map(|scale| unit(scale.to_f32())).collect(),
            }),
            ..self
        }
    }

    /// The same matrix as `MatMulNBits` would have it; a pass has checked the sizes.
    fn in_blocks(
        self,
        source: &crate::graph::Source,
        task: &PackTask,
        own_block: u64,
        is_transposed: bool,
    ) -> Self {
        let layout = Layout {
            rows: self.rows,
            columns: size(task.columns),
            block: size(task.block),
            own_block: size(own_block),
            is_transposed,
            is_signed: matches!(source.weights.dtype, dtype::INT8 | dtype::INT4),
            is_half_byte: task.bits == 4,
        };
        let zero_points = (self.zero_points.zip(source.zero_points.as_ref()))
            .map(|(points, tensor)| layout.zero_points(&points, size(tensor.elements())));
        let scales = match self.scales {
            Numbers::F32(scales) => Numbers::F32(layout.of_blocks(&scales)),
            Numbers::F16(scales) => Numbers::F16(layout.of_blocks(&scales)),
            Numbers::Bf16(scales) => Numbers::Bf16(layout.of_blocks(&scales)),
        };
        Self {
            rows: self.rows,
            weights: layout.weights(&self.weights),
            scales,
            zero_points,
        }
    }

    fn source(&self) -> matmul::Source<'_> {
        matmul::Source {
            rows: self.rows,
            weights: &self.weights,
            scales: match &self.scales {
                Numbers::F32(scales) => Scales::F32(scales),
                Numbers::F16(scales) => Scales::F16(scales),
                Numbers::Bf16(scales) => Scales::Bf16(scales),
            },
            zero_points: self.zero_points.as_deref(),
        }
    }
}

fn read(tensor: &TensorRef, files: &Files) -> Result<Vec<u8>, PackError> {
    let (file, offset, length) = match &tensor.place {
        Place::Inline(bytes) => return Ok(bytes.to_vec()),
        Place::File { file, offset, length } => (file, *offset, *length),
    };
    let (path, _) = files.locate(file)?;
    let mut content = Vec::with_capacity(size(length));
    let read = File::open(&path).and_then(|mut opened| {
        opened.seek(SeekFrom::Start(offset))?;
        opened.take(length).read_to_end(&mut content)
    });
    match read {
        Ok(got) if got as u64 == length => Ok(content),
        Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error),
    }
    .map_err(|source| PackError::File {
        action: "read",
        path,
        source,
    })
}
