//! Matrices on their way from one file to another: a piece at a time, so that a matrix of any
//! size takes about 25 MiB and the pages of its file that are mapped.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use airunner_kernels::Parallel;
use half::f16;

use super::blocks::{Grid, Loss, Row, quantize_row};
use super::source::{Data, Float, Matrix};
use super::{QuantizeError, Watcher};

/// Rows that are computed by one task.
const STRIPE: usize = 32;
/// Results that are kept until they are written, bytes.
const PIECE: usize = 16 << 20;
/// Numbers that are converted by one task.
const RUN: usize = 1 << 16;
/// Tensors from this size on begin at a page, so that they can be mapped; bytes.
const SMALLEST_PAGED: usize = 64 << 10;
const PAGE: u64 = 4096;
const LINE: u64 = 64;

/// A file of weights being written.
pub(super) struct Sink {
    file: File,
    path: PathBuf,
    end: u64,
}

/// Where a tensor lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Sink {
    pub(super) fn create(path: PathBuf) -> Result<Self, QuantizeError> {
        let file = File::create_new(&path).map_err(|source| QuantizeError::File {
            action: "create",
            path: path.clone(),
            source,
        })?;
        Ok(Self { file, path, end: 0 })
    }

    pub(super) fn into_file(self) -> (File, u64) {
        (self.file, self.end)
    }

    /// Sets room aside.
    fn reserve(&mut self, length: usize) -> Span {
        let alignment = if length < SMALLEST_PAGED { LINE } else { PAGE };
        let offset = self.end.next_multiple_of(alignment);
        let length = length as u64;
        self.end = offset + length;
        Span { offset, length }
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), QuantizeError> {
        let sought = self.file.seek(SeekFrom::Start(offset));
        let written = sought.and_then(|_| self.file.write_all(bytes));
        written.map_err(|source| QuantizeError::File {
            action: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// A quantized matrix in the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) weights: Span,
    pub(super) scales: Span,
    pub(super) zero_points: Option<Span>,
    pub(super) loss: Loss,
}

/// Who follows, how far everything is, and who computes.
pub(super) struct Work<'w> {
    pub(super) watcher: &'w dyn Watcher,
    pub(super) parallel: &'w dyn Parallel,
    /// Weights of all matrices, and of those that are done.
    pub(super) total: u64,
    pub(super) done: u64,
}

impl Work<'_> {
    fn advance(&mut self, weights: usize) -> Result<(), QuantizeError> {
        if self.watcher.is_cancelled() {
            return Err(QuantizeError::Cancelled);
        }
        self.done += weights as u64;
        self.watcher.progress(self.done as f64 / self.total.max(1) as f64);
        Ok(())
    }
}

/// The results of some rows.
struct Piece {
    weights: Vec<u8>,
    scales: Vec<f32>,
    zero_points: Vec<u8>,
}

pub(super) fn quantize(
    matrix: &Matrix,
    grid: &Grid,
    sink: &mut Sink,
    work: &mut Work<'_>,
) -> Result<Stored, QuantizeError> {
    let (rows, columns) = (matrix.rows, matrix.columns);
    let (row_bytes, blocks) = (grid.weight_bytes(columns), grid.blocks(columns));
    let row_zero_points = grid.zero_point_bytes(columns);
    let scale_bytes = if grid.has_half_scales { 2 } else { 4 };
    let mut stored = Stored {
        weights: sink.reserve(rows * row_bytes),
        scales: sink.reserve(rows * blocks * scale_bytes),
        zero_points: grid.has_zero_points.then(|| sink.reserve(rows * row_zero_points)),
        loss: Loss::default(),
    };
    let least = STRIPE * work.parallel.threads();
    let at_once = (PIECE / row_bytes.max(1)).max(least).next_multiple_of(STRIPE);
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let (piece, loss) = rows_of(matrix, grid, first, count, work)?;
        stored.loss.add(loss);
        sink.write(stored.weights.offset + (first * row_bytes) as u64, &piece.weights)?;
        let scales = scales_as_kept(&piece.scales, grid);
        sink.write(
            stored.scales.offset + (first * blocks * scale_bytes) as u64,
            &scales,
        )?;
        if let Some(span) = stored.zero_points {
            sink.write(span.offset + (first * row_zero_points) as u64, &piece.zero_points)?;
        }
        work.advance(count * columns)?;
    }
    Ok(stored)
}

fn scales_as_kept(scales: &[f32], grid: &Grid) -> Vec<u8> {
    if grid.has_half_scales {
        scales
            .iter()
            .flat_map(|&scale| f16::from_f32(scale).to_le_bytes())
            .collect()
    } else {
        scales.iter().flat_map(|scale| scale.to_le_bytes()).collect()
    }
}

fn rows_of(
    matrix: &Matrix,
    grid: &Grid,
    first: usize,
    count: usize,
    work: &Work<'_>,
) -> Result<(Piece, Loss), QuantizeError> {
    let columns = matrix.columns;
    let (row_bytes, blocks) = (grid.weight_bytes(columns), grid.blocks(columns));
    let row_zero_points = grid.zero_point_bytes(columns);
    let mut piece = Piece {
        weights: vec![0; count * row_bytes],
        scales: vec![0.0; count * blocks],
        zero_points: vec![0; count * row_zero_points],
    };
    let loss = Mutex::new(Loss::default());
    let bad_row = AtomicUsize::new(usize::MAX);
    {
        let mut zero_points = piece.zero_points.chunks_mut((STRIPE * row_zero_points).max(1));
        let stripes: Vec<Mutex<Row<'_>>> = piece
            .weights
            .chunks_mut(STRIPE * row_bytes)
            .zip(piece.scales.chunks_mut(STRIPE * blocks))
            .map(|(weights, scales)| {
                let zero_points = zero_points.next().unwrap_or_default();
                Mutex::new(Row {
                    weights,
                    scales,
                    zero_points,
                })
            })
            .collect();
        work.parallel.run(stripes.len(), &|number| {
            if work.watcher.is_cancelled() {
                return;
            }
            let Ok(mut stripe) = stripes[number].lock() else {
                return;
            };
            let Row {
                weights,
                scales,
                zero_points,
            } = &mut *stripe;
            let begin = number * STRIPE;
            let rows = STRIPE.min(count - begin);
            let mut values = vec![0.0; rows * columns];
            matrix.read(first + begin, &mut values);
            let mut lost = Loss::default();
            for (row, values) in values.chunks_exact(columns).enumerate() {
                let out = Row {
                    weights: &mut weights[row * row_bytes..][..row_bytes],
                    scales: &mut scales[row * blocks..][..blocks],
                    zero_points: &mut zero_points[row * row_zero_points..][..row_zero_points],
                };
                match quantize_row(values, grid, out) {
                    Ok(row) => lost.add(row),
                    Err(_) => {
                        bad_row.fetch_min(first + begin + row, Ordering::Relaxed);
                        return;
                    }
                }
            }
            if let Ok(mut loss) = loss.lock() {
                loss.add(lost);
            }
        });
    }
    let row = bad_row.into_inner();
    if row != usize::MAX {
        return Err(QuantizeError::BadWeight {
            tensor: matrix.tensor.clone(),
            row,
        });
    }
    let loss = loss.into_inner().unwrap_or_default();
    Ok((piece, loss))
}

/// Writes a tensor as 16-bit floats, as it lies.
pub(super) fn halve(
    tensor: &str,
    float: Float,
    data: &Data,
    sink: &mut Sink,
    work: &mut Work<'_>,
) -> Result<(Span, Loss), QuantizeError> {
    let bytes = data.bytes();
    let size = float.bytes();
    let span = sink.reserve(bytes.len() / size * 2);
    let mut loss = Loss::default();
    let mut offset = span.offset;
    for piece in bytes.chunks(PIECE / 2 * size) {
        let mut halves = vec![0; piece.len() / size * 2];
        let bad = AtomicUsize::new(usize::MAX);
        let lost = Mutex::new(Loss::default());
        {
            let runs: Vec<Mutex<&mut [u8]>> = halves.chunks_mut(RUN * 2).map(Mutex::new).collect();
            work.parallel.run(runs.len(), &|number| {
                let Ok(mut run) = runs[number].lock() else { return };
                let mut values = vec![0.0; run.len() / 2];
                float.widen(&piece[number * RUN * size..][..values.len() * size], &mut values);
                match narrow(&values, &mut run) {
                    Some(loss) => {
                        if let Ok(mut lost) = lost.lock() {
                            lost.add(loss);
                        }
                    }
                    None => bad.store(number, Ordering::Relaxed),
                }
            });
        }
        if bad.into_inner() != usize::MAX {
            return Err(QuantizeError::BadWeight {
                tensor: tensor.to_owned(),
                row: 0,
            });
        }
        loss.add(lost.into_inner().unwrap_or_default());
        sink.write(offset, &halves)?;
        offset += halves.len() as u64;
        work.advance(halves.len() / 2)?;
    }
    Ok((span, loss))
}

/// `None` if a number cannot be kept.
fn narrow(values: &[f32], out: &mut [u8]) -> Option<Loss> {
    let mut loss = Loss::default();
    for (&value, out) in values.iter().zip(out.as_chunks_mut::<2>().0) {
        let half = f16::from_f32(value);
        if !half.is_finite() {
            return None;
        }
        *out = half.to_le_bytes();
        let error = f64::from(value - half.to_f32());
        loss.squares += f64::from(value) * f64::from(value);
        loss.errors += error * error;
    }
    Some(loss)
}
