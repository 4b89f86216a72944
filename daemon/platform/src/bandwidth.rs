//! How fast main memory can be read.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

/// As much as this is in no cache, bytes.
const SWEPT: u64 = 1 << 30;
/// The share of the available memory that may be taken for a moment.
const SHARE: u64 = 8;
const PASSES: u32 = 5;

/// Bytes per second that so many threads read together: the best of some passes over memory that
/// no cache holds. Takes up to a gibibyte for a moment, less where little is available, and blocks
/// for about a second.
#[must_use]
pub fn read_bandwidth(threads: usize) -> f64 {
    let available = crate::memory::Monitor::new().main().available_bytes;
    best_of_passes(SWEPT.min(available / SHARE), threads)
}

fn best_of_passes(bytes: u64, threads: usize) -> f64 {
    let words = usize::try_from(bytes / 8).unwrap_or(0).max(1);
    // Written, because untouched pages are all the same one.
    let memory: Vec<u64> = (0..words as u64).collect();
    let part = words.div_ceil(threads.max(1));
    let best = (0..PASSES).map(|_| pass(&memory, part)).min().unwrap_or_default();
    (words * 8) as f64 / best.as_secs_f64().max(f64::MIN_POSITIVE)
}

fn pass(memory: &[u64], part: usize) -> Duration {
    let begin = Instant::now();
    thread::scope(|scope| {
        for part in memory.chunks(part) {
            scope.spawn(move || black_box(sum(part)));
        }
    });
    begin.elapsed()
}

/// A sum in independent lanes, so that nothing but the reading takes time.
fn sum(words: &[u64]) -> u64 {
    let mut lanes = [0_u64; 16];
    let chunks = words.chunks_exact(lanes.len());
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk) {
            *lane = lane.wrapping_add(*word);
        }
    }
    lanes
        .iter()
        .chain(rest)
        .fold(0, |sum, word| sum.wrapping_add(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_once() {
        for length in [0, 1, 15, 16, 17, 100] {
            let words: Vec<u64> = (1..=length).collect();
            assert_eq!(sum(&words), length * (length + 1) / 2, "{length}");
        }
        assert_eq!(sum(&[u64::MAX, 2]), 1);
    }

    #[test]
    fn there_is_a_figure_whatever_is_asked() {
        for (bytes, threads) in [(0, 0), (8, 4), (1 << 20, 0), (1 << 20, 3)] {
            let figure = best_of_passes(bytes, threads);
            assert!(figure.is_finite() && figure > 0.0, "{bytes} {threads}: {figure}");
        }
    }
}
