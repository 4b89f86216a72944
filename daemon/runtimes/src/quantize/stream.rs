//! Matrices on their way from one file to another: a piece at a time, so that a matrix of any
//! size, with any number of threads, takes at most 32 MiB and the pages of its file that are mapped.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use airunner_kernels::Parallel;
use half::f16;

use super::blocks::{Grid, Loss, Row, quantize_row};
use super::source::{Data, Float, Matrix};
use super::{QuantizeError, Watcher};

/// Rows that are computed by one task at most.
const STRIPE: usize = 32;
/// Results that are kept until they are written, bytes.
const PIECE: usize = 16 << 20;
/// What all threads together read at once, as 32-bit floats, bytes.
const SCRATCH: usize = 16 << 20;
/// Numbers that are converted by one task at most.
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

/// How many rows are worked on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Portions {
    /// By one task.
    stripe: usize,
    /// Until the results are written: a multiple of the stripe.
    at_once: usize,
}

impl Portions {
    /// Within [`PIECE`] and [`SCRATCH`], unless a single row is more.
    fn of(threads: usize, columns: usize, result_bytes: usize) -> Self {
        let row = (columns * size_of::<f32>()).max(1);
        let stripe = (SCRATCH / threads.max(1) / row).clamp(1, STRIPE);
        let results = PIECE / result_bytes.max(1);
        // As many threads as there are stripes read at the same time.
        let most = if threads * stripe * row > SCRATCH {
            results.min(SCRATCH / row)
        } else {
            results
        };
        Self {
            stripe,
            at_once: (most / stripe).max(1) * stripe,
        }
    }
}

/// What a row leaves, bytes: numbers, zero points, and scales as they are found and as they are kept.
fn result_bytes(grid: &Grid, columns: usize) -> usize {
    let scales = grid.blocks(columns) * (size_of::<f32>() + scale_bytes(grid));
    grid.weight_bytes(columns) + grid.zero_point_bytes(columns) + scales
}

fn scale_bytes(grid: &Grid) -> usize {
    if grid.has_half_scales { 2 } else { 4 }
}

/// Numbers that one task converts.
fn run_of(threads: usize) -> usize {
    (SCRATCH / size_of::<f32>() / threads.max(1)).clamp(1, RUN)
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
    let scale_bytes = scale_bytes(grid);
    let mut stored = Stored {
        weights: sink.reserve(rows * row_bytes),
        scales: sink.reserve(rows * blocks * scale_bytes),
        zero_points: grid.has_zero_points.then(|| sink.reserve(rows * row_zero_points)),
        loss: Loss::default(),
    };
    let portions = Portions::of(work.parallel.threads(), columns, result_bytes(grid, columns));
    let at_once = portions.at_once;
    for first in (0..rows).step_by(at_once) {
        let count = at_once.min(rows - first);
        let (piece, loss) = rows_of(matrix, grid, first..first + count, portions.stripe, work)?;
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
    rows: Range<usize>,
    stripe_rows: usize,
    work: &Work<'_>,
) -> Result<(Piece, Loss), QuantizeError> {
    let (first, count) = (rows.start, rows.len());
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
        let mut zero_points = piece
            .zero_points
            .chunks_mut((stripe_rows * row_zero_points).max(1));
        let stripes: Vec<Mutex<Row<'_>>> = piece
            .weights
            .chunks_mut(stripe_rows * row_bytes)
            .zip(piece.scales.chunks_mut(stripe_rows * blocks))
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
            let begin = number * stripe_rows;
            let rows = stripe_rows.min(count - begin);
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
    let run = run_of(work.parallel.threads());
    let mut loss = Loss::default();
    let mut offset = span.offset;
    for piece in bytes.chunks(PIECE / 2 * size) {
        let mut halves = vec![0; piece.len() / size * 2];
        let bad = AtomicUsize::new(usize::MAX);
        let lost = Mutex::new(Loss::default());
        {
            let runs: Vec<Mutex<&mut [u8]>> = halves.chunks_mut(run * 2).map(Mutex::new).collect();
            work.parallel.run(runs.len(), &|number| {
                let Ok(mut out) = runs[number].lock() else { return };
                let mut values = vec![0.0; out.len() / 2];
                float.widen(&piece[number * run * size..][..values.len() * size], &mut values);
                match narrow(&values, &mut out) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_whatever_the_threads_and_columns() {
        for threads in [1, 2, 16, 128, 1024] {
            for columns in [1, 32, 896, 4096, 14_336, 53_248, 1 << 20] {
                for (bits, block, has_half_scales) in
                    [(8, 32, false), (4, 16, false), (4, 16, true), (2, 32, false)]
                {
                    let grid = Grid {
                        bits,
                        block,
                        has_zero_points: bits != 8,
                        has_half_scales,
                    };
                    let bytes = result_bytes(&grid, columns);
                    let Portions { stripe, at_once } = Portions::of(threads, columns, bytes);
                    assert!(stripe >= 1 && at_once >= stripe && at_once % stripe == 0);
                    let reading = threads.min(at_once.div_ceil(stripe)) * stripe * columns * 4;
                    let what = format!("{threads} threads, {columns} columns: {stripe}, {at_once}");
                    assert!(reading <= SCRATCH || at_once == 1, "{what}: {reading}");
                    assert!(at_once * bytes <= PIECE || at_once == stripe, "{what}");
                    assert!(reading + at_once * bytes <= SCRATCH + 2 * PIECE, "{what}");
                }
            }
            assert!(run_of(threads) * threads * 4 <= SCRATCH);
        }
        // Narrow matrices still have stripes for all.
        let grid = Grid {
            bits: 4,
            block: 32,
            has_zero_points: true,
            has_half_scales: false,
        };
        let portions = Portions::of(128, 1024, result_bytes(&grid, 1024));
        assert_eq!(portions.stripe, 32);
        assert!(portions.at_once / portions.stripe >= 128);
        assert_eq!(Portions::of(128, 14_336, result_bytes(&grid, 14_336)).stripe, 2);
    }
}
