//! Weights where they lie, as rows of 32-bit floats.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use half::{bf16, f16};
use memmap2::Mmap;

use super::QuantizeError;
use crate::graph::full_precision::FullPrecision;
use crate::graph::{Place, TensorRef};
use crate::onnx::{self, dtype};
use crate::package::Files;

/// The files of a package that hold weights, each mapped once.
pub(super) struct Maps<'f> {
    files: &'f Files,
    maps: HashMap<String, Arc<Mmap>>,
}

impl<'f> Maps<'f> {
    pub(super) fn new(files: &'f Files) -> Self {
        Self {
            files,
            maps: HashMap::new(),
        }
    }

    pub(super) fn data(&mut self, tensor: &str, reference: &TensorRef) -> Result<Data, QuantizeError> {
        match &reference.place {
            Place::Inline(bytes) => Ok(Data::Inline(bytes.clone())),
            Place::File { file, offset, length } => {
                let map = self.map(file)?;
                let range = usize::try_from(*offset).ok().zip(usize::try_from(*length).ok());
                let range = range.and_then(|(begin, length)| Some(begin..begin.checked_add(length)?));
                let range = range.filter(|range| range.end <= map.len());
                let range = range.ok_or_else(|| QuantizeError::Incomplete {
                    tensor: tensor.to_owned(),
                    file: file.clone(),
                })?;
                Ok(Data::Mapped(map, range))
            }
        }
    }

    fn map(&mut self, file: &str) -> Result<Arc<Mmap>, QuantizeError> {
        if let Some(map) = self.maps.get(file) {
            return Ok(Arc::clone(map));
        }
        let (path, _) = self.files.locate(file)?;
        let map = Arc::new(onnx::map(&path)?);
        self.maps.insert(file.to_owned(), Arc::clone(&map));
        Ok(map)
    }
}

/// The bytes of a tensor.
pub(super) enum Data {
    Inline(Bytes),
    Mapped(Arc<Mmap>, std::ops::Range<usize>),
}

impl Data {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Inline(bytes) => bytes,
            Self::Mapped(map, range) => &map[range.clone()],
        }
    }
}

/// A matrix of full precision.
pub(super) struct Matrix {
    pub(super) tensor: String,
    pub(super) rows: usize,
    pub(super) columns: usize,
    is_by_rows: bool,
    float: Float,
    data: Data,
}

impl Matrix {
    pub(super) fn open(maps: &mut Maps<'_>, found: &FullPrecision) -> Result<Self, QuantizeError> {
        Ok(Self {
            tensor: found.tensor.clone(),
            rows: found.rows as usize,
            columns: found.columns as usize,
            is_by_rows: found.is_by_rows,
            float: Float::of(found.data.dtype).ok_or(QuantizeError::Nothing)?,
            data: maps.data(&found.tensor, &found.data)?,
        })
    }

    /// As many rows from `first` on as `out` has room for, one after the other.
    pub(super) fn read(&self, first: usize, out: &mut [f32]) {
        self.read_part(first, 0..self.columns, out);
    }

    /// The same of some columns.
    pub(super) fn read_part(&self, first: usize, columns: std::ops::Range<usize>, out: &mut [f32]) {
        let size = self.float.bytes();
        let bytes = self.data.bytes();
        let width = columns.len();
        if self.is_by_rows {
            for (row, out) in out.chunks_exact_mut(width).enumerate() {
                let begin = ((first + row) * self.columns + columns.start) * size;
                self.float.widen(&bytes[begin..begin + width * size], out);
            }
            return;
        }
        let count = out.len() / width;
        let mut across = vec![0.0; count];
        for (place, column) in columns.enumerate() {
            let begin = (column * self.rows + first) * size;
            self.float.widen(&bytes[begin..begin + count * size], &mut across);
            for (row, &value) in across.iter().enumerate() {
                out[row * width + place] = value;
            }
        }
    }

    /// Whether another matrix has the same weights, perhaps lying in the other direction.
    pub(super) fn equals(&self, other: &Self) -> bool {
        if (self.rows, self.columns) != (other.rows, other.columns) {
            return false;
        }
        const ROWS: usize = 32;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        (0..self.rows).step_by(ROWS).all(|first| {
            let length = ROWS.min(self.rows - first) * self.columns;
            ours.resize(length, 0.0);
            theirs.resize(length, 0.0);
            self.read(first, &mut ours);
            other.read(first, &mut theirs);
            ours == theirs
        })
    }
}

/// How weights are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    BF16,
}

impl Float {
    pub(super) fn of(dtype: i64) -> Option<Self> {
        match dtype {
            dtype::FLOAT => Some(Self::F32),
            dtype::FLOAT16 => Some(Self::F16),
            dtype::BFLOAT16 => Some(Self::BF16),
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
        }
    }

    pub(super) fn widen(self, bytes: &[u8], out: &mut [f32]) {
        let halves = || {
            bytes
                .as_chunks::<2>()
                .0
                .iter()
                .map(|&pair| u16::from_le_bytes(pair))
        };
        match self {
            Self::F32 => {
                for (out, &four) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *out = f32::from_le_bytes(four);
                }
            }
            Self::F16 => {
                for (out, bits) in out.iter_mut().zip(halves()) {
                    *out = f16::from_bits(bits).to_f32();
                }
            }
            Self::BF16 => {
                for (out, bits) in out.iter_mut().zip(halves()) {
                    *out = bf16::from_bits(bits).to_f32();
                }
            }
        }
    }
}

#[cfg(test)]
impl Matrix {
    /// Of numbers that lie row by row.
    pub(super) fn of_rows(rows: usize, numbers: &[f32]) -> Self {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self {
            tensor: "w".into(),
            rows,
            columns: numbers.len() / rows,
            is_by_rows: true,
            float: Float::F32,
            data: Data::Inline(bytes.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(is_by_rows: bool, float: Float, numbers: &[f32]) -> Matrix {
        let bytes: Vec<u8> = numbers
            .iter()
            .flat_map(|&number| match float {
                Float::F32 => number.to_le_bytes().to_vec(),
                Float::F16 => f16::from_f32(number).to_le_bytes().to_vec(),
                Float::BF16 => bf16::from_f32(number).to_le_bytes().to_vec(),
            })
            .collect();
        Matrix {
            tensor: "w".into(),
            rows: 2,
            columns: 3,
            is_by_rows,
            float,
            data: Data::Inline(bytes.into()),
        }
    }

    #[test]
    fn rows_are_the_same_however_they_lie() {
        for float in [Float::F32, Float::F16, Float::BF16] {
            let by_rows = matrix(true, float, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
            let by_columns = matrix(false, float, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
            for matrix in [&by_rows, &by_columns] {
                let mut out = [0.0; 3];
                matrix.read(1, &mut out);
                assert_eq!(out, [4.0, 5.0, 6.0]);
                let mut part = [0.0; 4];
                matrix.read_part(0, 1..3, &mut part);
                assert_eq!(part, [2.0, 3.0, 5.0, 6.0]);
            }
            assert!(by_rows.equals(&by_columns));
            assert!(!by_rows.equals(&matrix(false, float, &[1.0; 6])));
        }
    }
}
