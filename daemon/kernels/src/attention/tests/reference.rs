//! Attention in double precision, straight from its definition.

use super::cases::{Case, Random, Tokens};
use super::*;
use proptest::prelude::*;

/// Angles by which pairs are turned at each position, and what both are multiplied by.
#[derive(Clone, Debug)]
pub(super) struct Angles {
    pub(super) frequencies: Vec<f64>,
    pub(super) factor: f64,
    pub(super) interleaved: bool,
    pub(super) positions: usize,
}

pub(super) struct Tables {
    cos: Vec<f32>,
    sin: Vec<f32>,
    dimensions: usize,
    interleaved: bool,
}

impl Tables {
    pub(super) fn rotary(&self) -> Rotary<'_> {
        let Self {
            cos,
            sin,
            dimensions,
            interleaved,
        } = self;
        Rotary {
            cos,
            sin,
            dimensions: *dimensions,
            interleaved: *interleaved,
        }
    }
}

impl Angles {
    pub(super) fn tables(&self) -> Tables {
        let angles = (0..self.positions).flat_map(|position| {
            self.frequencies
                .iter()
                .map(move |frequency| position as f64 * frequency)
        });
        let (sin, cos) = angles
            .map(|angle| {
                (
                    (angle.sin() * self.factor) as f32,
                    (angle.cos() * self.factor) as f32,
                )
            })
            .unzip();
        Tables {
            cos,
            sin,
            dimensions: 2 * self.frequencies.len(),
            interleaved: self.interleaved,
        }
    }

    fn turn(&self, position: usize, head: &mut [f64]) {
        let half = self.frequencies.len();
        for (index, frequency) in self.frequencies.iter().enumerate() {
            let (a, b) = if self.interleaved {
                (2 * index, 2 * index + 1)
            } else {
                (index, index + half)
            };
            let (sin, cos) = (position as f64 * frequency).sin_cos();
            let turned = [head[a] * cos - head[b] * sin, head[b] * cos + head[a] * sin];
            (head[a], head[b]) = (turned[0] * self.factor, turned[1] * self.factor);
        }
    }
}

pub(super) struct Query<'q> {
    pub(super) tokens: &'q Tokens,
    pub(super) row: usize,
    pub(super) head: usize,
}

fn head(case: &Case, numbers: &[f32], row: usize, heads: usize, head: usize) -> Vec<f64> {
    let size = case.geometry.head_size();
    numbers[(row * heads + head) * size..][..size]
        .iter()
        .map(|&number| f64::from(number))
        .collect()
}

pub(super) fn expected(case: &Case, query: &Query<'_>) -> Vec<f64> {
    let (query_heads, heads) = (case.geometry.query_heads(), case.geometry.key_value_heads());
    let position = query.tokens.past + query.row;
    let key_head = query.head / (query_heads / heads);
    let turned = |position: usize, mut head: Vec<f64>| {
        if let Some(angles) = &case.angles {
            angles.turn(position, &mut head);
        }
        head
    };
    let q = turned(
        position,
        head(case, &query.tokens.queries, query.row, query_heads, query.head),
    );
    let first = case
        .window
        .map_or(0, |window| (position + 1).saturating_sub(window));
    let scores: Vec<f64> = (first..=position)
        .map(|token| {
            let key = turned(token, head(case, &query.tokens.keys, token, heads, key_head));
            let score = q.iter().zip(key).map(|(a, b)| a * b).sum::<f64>() * f64::from(case.scale);
            case.softcap
                .map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        })
        .collect();
    let sink = case.sinks.as_ref().map(|sinks| f64::from(sinks[query.head]));
    let greatest = scores
        .iter()
        .copied()
        .chain(sink)
        .fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = scores
        .iter()
        .copied()
        .chain(sink)
        .map(|score| (score - greatest).exp())
        .sum();
    let mut sum = vec![0.0; case.geometry.head_size()];
    for (token, score) in (first..=position).zip(scores) {
        let weight = (score - greatest).exp() / total;
        for (sum, value) in sum
            .iter_mut()
            .zip(head(case, &query.tokens.values, token, heads, key_head))
        {
            *sum += weight * value;
        }
    }
    sum
}

/// A geometry, and sequences within it.
pub(super) fn any_case() -> impl Strategy<Value = Case> {
    let sizes = prop::sample::select(vec![1_usize, 8, 16, 20, 64, 80, 96, 128]);
    let blocks = prop::sample::select(vec![16_usize, 32, 48, 256]);
    let elements = prop::sample::select(vec![Element::F32, Element::F16, Element::I8]);
    let geometry = (1_usize..=3, 1_usize..=9, sizes, blocks, elements);
    let lengths = prop::collection::vec((0_usize..600, 0_usize..40), 1..4);
    let options = (
        prop::option::of(prop::sample::select(vec![1_usize, 3, 16, 17, 100, 300])),
        prop::option::of(prop::sample::select(vec![2.0_f32, 30.0])),
        any::<bool>(),
        any::<u64>(),
    );
    (geometry, lengths, options).prop_map(|((heads, group, size, block, element), lengths, options)| {
        let (window, softcap, sinks, seed) = options;
        let mut random = Random::new(seed);
        let geometry = Geometry::new(heads * group, heads, size, block, element).unwrap();
        let mut case = Case::new(geometry, &lengths, &mut random);
        case.window = window;
        case.softcap = softcap;
        case.sinks = sinks.then(|| (0..heads * group).map(|_| 4.0 * random.number()).collect());
        case
    })
}

impl std::fmt::Debug for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths: Vec<_> = self
            .sequences
            .iter()
            .map(|tokens| (tokens.past, tokens.rows))
            .collect();
        write!(
            f,
            "{:?} {lengths:?} {:?} {:?}",
            self.geometry, self.window, self.softcap
        )
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn attention_is_what_its_definition_says(case in any_case(), threads in 1_usize..4) {
        for isa in Isa::available() {
            case.check(isa, &Threads(threads), 1e-5);
        }
    }
}

#[test]
fn long_contexts_are_summed_up_as_well() {
    for (element, size) in [(Element::F32, 64), (Element::F16, 256), (Element::I8, 96)] {
        let geometry = Geometry::new(4, 2, size, 32, element).unwrap();
        let mut case = Case::new(geometry, &[(3000, 1), (0, 700), (1500, 5)], &mut Random::new(7));
        // Scores of hundreds, beyond what a power of e can be: single precision leaves them three
        // or four decimals, which is what a weight is exact to.
        case.scale = 4.0;
        for isa in Isa::available() {
            case.check(isa, &Threads(2), 2e-3);
        }
    }
}
