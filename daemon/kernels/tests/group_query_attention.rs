//! Attention against what ONNX Runtime 1.31.1 gave for the same numbers
//! (`golden/group_query_attention.py`).
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use airunner_kernels::attention::{
    Append, Attend, Element, Geometry, Options, Pool, Rotary, Rows, Scratch, Sequence, append, attend,
};
use airunner_kernels::{Isa, Threads};

const HEADS: usize = 4;
const KEY_VALUE_HEADS: usize = 2;
const SIZE: usize = 32;
const PAST: usize = 37;
const ROWS: usize = 2;
const TOTAL: usize = PAST + ROWS;
/// One number in so many is in the file.
const STEP: usize = 4;

/// The generator's numbers.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let number = |index: usize| {
        let bits = (index as u64 * 2_654_435_761 + seed * 40_503) & 0xffff_ffff;
        let bits = (bits * (bits >> 15 | 1)) & 0xffff_ffff;
        (bits >> 16) as f32 / 32_768.0 - 1.0
    };
    (0..count).map(number).collect()
}

/// Options, how many dimensions are rotated, and whether as neighbours.
fn case<'s>(name: &str, sinks: &'s [[f32; HEADS]; 2]) -> (Options<'s>, Option<(usize, bool)>) {
    let plain = Options {
        scale: 1.0 / (SIZE as f32).sqrt(),
        softcap: None,
        window: None,
        sinks: None,
    };
    match name {
        "plain" => (plain, None),
        "rotary" => (plain, Some((SIZE, false))),
        "interleaved" => (plain, Some((SIZE, true))),
        "partial" => (plain, Some((SIZE / 2, false))),
        "scale" => (Options { scale: 0.7, ..plain }, None),
        "softcap" => (
            Options {
                softcap: Some(1.5),
                ..plain
            },
            None,
        ),
        "window" => (
            Options {
                window: Some(5),
                ..plain
            },
            None,
        ),
        "smooth" => (
            Options {
                sinks: Some(&sinks[0]),
                ..plain
            },
            None,
        ),
        "sink" => (
            Options {
                sinks: Some(&sinks[1]),
                ..plain
            },
            None,
        ),
        other => panic!("no case {other}"),
    }
}

fn compute(name: &str, isa: Isa) -> Vec<f32> {
    let sinks = [[0.0; HEADS], *numbers(5, HEADS).first_chunk().unwrap()];
    let (options, rotation) = case(name, &sinks);
    let (dimensions, interleaved) = rotation.unwrap_or((2, false));
    let (sin, cos): (Vec<f32>, Vec<f32>) = numbers(4, TOTAL * dimensions / 2)
        .into_iter()
        .map(f32::sin_cos)
        .unzip();
    let rotary = rotation.map(|_| Rotary {
        cos: &cos,
        sin: &sin,
        dimensions,
        interleaved,
    });
    let geometry = Geometry::new(HEADS, KEY_VALUE_HEADS, SIZE, 16, Element::F32).unwrap();
    let mut pool = Pool::new(geometry, 5).unwrap();
    let blocks = [3, 0, 4];
    let width = KEY_VALUE_HEADS * SIZE;
    let [keys, values] = [2, 3].map(|seed| numbers(seed, TOTAL * width));
    let all = [Sequence {
        first_row: 0,
        rows: TOTAL,
        past: 0,
        blocks: &blocks,
    }];
    let keys = Rows {
        numbers: &keys,
        stride: width,
    };
    let values = Rows {
        numbers: &values,
        stride: width,
    };
    append(
        &mut pool,
        &Append {
            sequences: &all,
            keys,
            values,
            rotary,
        },
        isa,
        &Threads(2),
    )
    .unwrap();
    let width = HEADS * SIZE;
    let queries = &numbers(1, TOTAL * width)[PAST * width..];
    let last = [Sequence {
        first_row: 0,
        rows: ROWS,
        past: PAST,
        blocks: &blocks,
    }];
    let queries = Rows {
        numbers: queries,
        stride: width,
    };
    let call = Attend {
        sequences: &last,
        queries,
        rotary,
        options,
    };
    let mut out = vec![0.0; ROWS * width];
    attend(&pool, &call, &mut out, &mut Scratch::default(), isa, &Threads(2)).unwrap();
    out
}

#[test]
fn results_are_those_of_onnx_runtime() {
    let golden = include_str!("golden/group_query_attention.txt");
    let mut lines = golden.lines();
    let mut cases = 0;
    while let Some(name) = lines.next() {
        let rows = lines.by_ref().take(ROWS).flat_map(str::split_whitespace);
        let expected: Vec<f32> = rows.map(|number| number.parse().unwrap()).collect();
        assert_eq!(expected.len(), ROWS * HEADS * SIZE / STEP);
        for isa in Isa::available() {
            let results = compute(name, isa);
            for (have, want) in results.iter().step_by(STEP).zip(&expected) {
                assert!(
                    (have - want).abs() < 5e-6,
                    "{name}, {isa}: {have} instead of {want}"
                );
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 9);
}
