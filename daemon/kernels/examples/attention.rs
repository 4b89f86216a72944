//! Prints how long attention takes, with the heads of Llama-3.2-1B: the mean of its layers, so that
//! keys and values come from where they come from in a model.
//!
//! `cargo run --release -p airunner-kernels --example attention -- [threads [instructions [name]]]`
#![expect(clippy::print_stdout, reason = "an example that prints figures")]

use airunner_kernels::attention::{
    Append, Attend, AttentionError, Element, Geometry, Options, Pool, Rows, Scratch, Sequence, append, attend,
};
use airunner_kernels::{Isa, Parallel, Threads};
use std::time::{Duration, Instant};

const HEADS: usize = 32;
const KEY_VALUE_HEADS: usize = 8;
const SIZE: usize = 64;
const BLOCK: usize = 32;
const BLOCKS: usize = 1200;
const LAYERS: u32 = 16;
const ROUNDS: usize = 30;

/// Past and new tokens of each sequence.
type Lengths = Vec<(usize, usize)>;

fn main() -> Result<(), AttentionError> {
    let threads = std::env::args()
        .nth(1)
        .and_then(|threads| threads.parse().ok())
        .unwrap_or(2);
    let mut mixed = vec![(500, 1); 7];
    mixed.push((100, 64));
    let steps: [(&str, Lengths); 6] = [
        ("decode 1 x 500", vec![(499, 1)]),
        ("decode 1 x 4000", vec![(3999, 1)]),
        ("decode 1 x 8192", vec![(8191, 1)]),
        ("decode 8 x 500", vec![(499, 1); 8]),
        ("prompt of 512", vec![(0, 512)]),
        ("7 decodes and 64 of a prompt", mixed),
    ];
    let only = std::env::args().nth(2);
    let part = std::env::args().nth(3).unwrap_or_default();
    let wanted = |isa: &Isa| only.as_ref().is_none_or(|only| isa.to_string() == *only);
    for isa in Isa::available().into_iter().filter(wanted) {
        for element in [Element::F32, Element::F16, Element::I8] {
            for (name, lengths) in steps.iter().filter(|(name, _)| name.contains(&part)) {
                let (append, attend) = time(isa, element, lengths, &Threads(threads))?;
                println!("{isa:12} {element:?} {name:30} append {append:>10.1?} attend {attend:>10.1?}");
            }
        }
    }
    Ok(())
}

/// The least time of a few rounds, for a layer.
fn time(
    isa: Isa,
    element: Element,
    lengths: &[(usize, usize)],
    parallel: &dyn Parallel,
) -> Result<(Duration, Duration), AttentionError> {
    let geometry = Geometry::new(HEADS, KEY_VALUE_HEADS, SIZE, BLOCK, element)?;
    let mut pools = Vec::new();
    for _ in 0..LAYERS {
        pools.push(Pool::new(geometry, BLOCKS)?);
    }
    let longest = lengths.iter().map(|(past, rows)| past + rows).max().unwrap_or(0);
    let numbers = random(longest.max(512) * HEADS * SIZE);
    let rows = |width: usize| Rows {
        numbers: &numbers,
        stride: width,
    };
    let (keys, queries) = (rows(KEY_VALUE_HEADS * SIZE), rows(HEADS * SIZE));
    let tables = tables(&geometry, lengths);
    for (blocks, (past, _)) in tables.iter().zip(lengths) {
        let sequences = [Sequence {
            first_row: 0,
            rows: *past,
            past: 0,
            blocks,
        }];
        let past = Append {
            sequences: &sequences,
            keys,
            values: keys,
            rotary: None,
        };
        for pool in &mut pools {
            append(pool, &past, isa, parallel)?;
        }
    }
    let mut first_row = 0;
    let mut sequences = vec![];
    for (blocks, &(past, rows)) in tables.iter().zip(lengths) {
        sequences.push(Sequence {
            first_row,
            rows,
            past,
            blocks,
        });
        first_row += rows;
    }
    let new = Append {
        sequences: &sequences,
        keys,
        values: keys,
        rotary: None,
    };
    let options = Options {
        scale: 0.125,
        softcap: None,
        window: None,
        sinks: None,
    };
    let call = Attend {
        sequences: &sequences,
        queries,
        rotary: None,
        options,
    };
    let mut out = vec![0.0; first_row * HEADS * SIZE];
    let mut scratch = Scratch::default();
    let mut least = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (mut appending, mut attending) = (Duration::ZERO, Duration::ZERO);
        for pool in &mut pools {
            let start = Instant::now();
            append(pool, &new, isa, parallel)?;
            let appended = Instant::now();
            attend(pool, &call, &mut out, &mut scratch, isa, parallel)?;
            appending += appended - start;
            attending += appended.elapsed();
        }
        least = (least.0.min(appending / LAYERS), least.1.min(attending / LAYERS));
    }
    Ok(least)
}

/// Blocks that do not follow each other.
fn tables(geometry: &Geometry, lengths: &[(usize, usize)]) -> Vec<Vec<u32>> {
    let mut next = 0;
    let mut table = |(past, rows): &(usize, usize)| -> Vec<u32> {
        let mut one = || {
            next = (next + 37) % BLOCKS as u32;
            next
        };
        (0..geometry.blocks_for(past + rows)).map(|_| one()).collect()
    };
    lengths.iter().map(&mut table).collect()
}

fn random(count: usize) -> Vec<f32> {
    let mut state = 7_u32;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    (0..count).map(next).collect()
}
