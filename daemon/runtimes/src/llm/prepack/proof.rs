//! Whether a copy of a model computes what the original does, seen on a sample.
//!
//! Two sequences, both longer than two blocks of the cache, in pieces of which some cross the
//! border of a block and some are a single token. Each is computed alone; where a graph takes
//! several sequences in one run, both are computed together as well, since an operator that mixes
//! tokens would let one hear of the other.

use crate::llm::ComputeError;
use crate::llm::kv::{Piece, Wanted};
use crate::llm::open_cache;
use crate::llm::session::Model;
use crate::llm::tensor::Float;
use crate::package::Package;

/// Tokens that the cache has room for: more than any sequence here, as it would be in use.
const CONTEXT: usize = 2048;

/// Tokens of the first and the second sequence in each step. Blocks end at 32 and 64.
const STEPS: [[usize; 2]; 4] = [[20, 33], [25, 28], [24, 1], [1, 7]];

/// How far the logits of a copy may be from those of the original, as a part of their spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exactness {
    /// Products are our own: activations of 8 bits in place of floating point numbers alone are 2
    /// to 5 percent.
    Products,
    /// The original quantizes activations itself: another order of sums rounds some of them to the
    /// next step.
    Steps,
    /// It computes with floats of 16 bits, and our attention does not.
    Halves,
    /// Nothing may differ but the order of sums.
    Sums,
}

impl Exactness {
    pub(super) fn of(has_products: bool, original: &Model, package: &Package) -> Self {
        const QUANTIZING: [&str; 7] = [
            "DynamicQuantizeLinear",
            "DynamicQuantizeMatMul",
            "MatMulIntegerToFloat",
            "MatMulNBits",
            "QLinearMatMul",
            "QMoE",
            "QuantizeLinear",
        ];
        let interface = &original.interface;
        let floats = [interface.cache_float, interface.logits_float];
        let operators = &package.graph().operators;
        if has_products {
            Self::Products
        } else if operators
            .keys()
            .any(|found| QUANTIZING.contains(&found.name.as_str()))
        {
            Self::Steps
        } else if floats.iter().any(|float| *float != Float::F32) {
            Self::Halves
        } else {
            Self::Sums
        }
    }

    fn most(self) -> f64 {
        match self {
            Self::Products => 0.15,
            Self::Steps => 0.05,
            Self::Halves => 0.02,
            Self::Sums => 1e-3,
        }
    }
}

/// How far the logits of a sequence may be from those that it has alone. Rows of our operators do
/// not depend on each other at all; ONNX Runtime may sum up in another order for more rows.
const LARGEST_OF_COMPANY: f64 = 1e-3;

/// The logits behind every piece of both sequences, each computed alone.
pub(super) struct Sample(Vec<Vec<f32>>);

/// What was seen of a copy.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// From the original.
    pub(super) difference: f64,
    /// Of the logits of a sequence with company from those that it has alone.
    pub(super) company: f64,
}

/// Why a copy is not taken.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub(super) enum Doubt {
    #[error("its logits are {found:.4} of their spread away from the original's, and {most} is allowed")]
    Different { found: f64, most: f64 },
    #[error("what a sequence says depends on what else is computed with it: {found:.4} of the spread")]
    Mixing { found: f64 },
}

impl Seen {
    /// Whether that is near enough.
    pub(super) fn judge(self, exactness: Exactness) -> Result<(), Doubt> {
        let most = exactness.most();
        // What is no number is not near anything.
        let is_near = |found: f64, most: f64| found <= most;
        if !is_near(self.company, LARGEST_OF_COMPANY) {
            return Err(Doubt::Mixing { found: self.company });
        }
        if !is_near(self.difference, most) {
            let found = self.difference;
            return Err(Doubt::Different { found, most });
        }
        Ok(())
    }
}

impl Sample {
    pub(super) fn of(model: &mut Model, package: &Package) -> Result<Self, ComputeError> {
        let mut all = Vec::new();
        for sequence in 0..2 {
            let mut cache = open_cache(model, package, 1, CONTEXT);
            for step in steps(package) {
                let tokens = &tokens(sequence)[step[sequence].clone()];
                all.push(cache.extend(model, 0, tokens)?.row(0)?.to_vec());
            }
        }
        Ok(Self(all))
    }

    #[cfg(test)]
    pub(super) fn apart(&self, original: &Self) -> f64 {
        difference(&original.0.concat(), &self.0.concat())
    }

    /// Whether both say the same to the last bit.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let bits = |sample: &Self| -> Vec<Vec<u32>> {
            let row = |row: &Vec<f32>| row.iter().map(|logit| logit.to_bits()).collect();
            sample.0.iter().map(row).collect()
        };
        bits(self) == bits(other)
    }
}

/// Computes the sample with a copy.
pub(super) fn look(original: &Sample, model: &mut Model, package: &Package) -> Result<Seen, ComputeError> {
    let alone = Sample::of(model, package)?;
    let together = together(model, package)?;
    let pairs = together
        .iter()
        .flat_map(|together| together.0.iter().zip(&alone.0));
    let company = pairs.map(|(together, alone)| difference(alone, together));
    Ok(Seen {
        difference: difference(&original.0.concat(), &alone.0.concat()),
        company: company.fold(0.0, greater),
    })
}

/// The greater one, or none of both where one is no number.
fn greater(one: f64, other: f64) -> f64 {
    if one.is_nan() || other.is_nan() {
        f64::NAN
    } else {
        one.max(other)
    }
}

/// Both sequences in the same runs, where the graph can.
fn together(model: &mut Model, package: &Package) -> Result<Option<Sample>, ComputeError> {
    let mut cache = open_cache(model, package, 2, CONTEXT);
    let Some(mixed) = cache.mixed() else {
        return Ok(None);
    };
    let sequences = [tokens(0), tokens(1)];
    for (slot, tokens) in sequences.iter().enumerate() {
        mixed.begin(slot, tokens)?;
    }
    let mut rows = [Vec::new(), Vec::new()];
    for (number, step) in steps(package).enumerate() {
        // Each is the first in every other run.
        let order = [number % 2, 1 - number % 2];
        let pieces = order.map(|slot| Piece {
            slot,
            tokens: &sequences[slot][step[slot].clone()],
            wanted: Wanted::Last,
        });
        let logits = mixed.step(model, &pieces)?;
        for (row, piece) in pieces.iter().enumerate() {
            rows[piece.slot].push(logits.row(row)?.to_vec());
            mixed.commit(piece.slot, piece.tokens);
        }
    }
    Ok(Some(Sample(rows.concat())))
}

/// Which tokens of each sequence a step computes, as far as the model's context goes.
fn steps(package: &Package) -> impl Iterator<Item = [std::ops::Range<usize>; 2]> {
    let context = package.config().context_length;
    let context = context.map_or(usize::MAX, |context| context as usize);
    let mut past = [0, 0];
    let steps = STEPS.into_iter().map(move |step| {
        let ranges = [0, 1].map(|slot| past[slot]..context.min(past[slot] + step[slot]));
        past = [0, 1].map(|slot| ranges[slot].end);
        ranges
    });
    steps.take_while(|ranges| ranges.iter().all(|range| !range.is_empty()))
}

/// Some tokens of a sequence; every vocabulary has so many.
fn tokens(sequence: usize) -> Vec<u32> {
    const VOCABULARY: u32 = 233;
    let length = STEPS.iter().map(|step| step[sequence]).sum();
    let mut token = 1 + sequence as u32;
    let next = |_| {
        token = (token * 89 + 41) % VOCABULARY;
        token
    };
    (0..length).map(next).collect()
}

/// Root mean square of the differences, as a part of the spread of the first.
fn difference(original: &[f32], other: &[f32]) -> f64 {
    if original.len() != other.len() {
        return f64::INFINITY;
    }
    let numbers = || original.iter().map(|&logit| f64::from(logit));
    let mean = numbers().sum::<f64>() / original.len().max(1) as f64;
    let spread: f64 = numbers().map(|logit| (logit - mean).powi(2)).sum();
    let pairs = numbers().zip(other.iter().map(|&logit| f64::from(logit)));
    let apart: f64 = pairs.map(|(one, other)| (one - other).powi(2)).sum();
    if apart == 0.0 {
        0.0
    } else {
        (apart / spread).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Exactness; 4] = [
        Exactness::Products,
        Exactness::Steps,
        Exactness::Halves,
        Exactness::Sums,
    ];

    #[test]
    fn how_near_is_near_enough_depends_on_what_was_changed() {
        let seen = |difference, company| Seen { difference, company };
        for (difference, allowed) in [
            (0.1, &[Exactness::Products][..]),
            (0.01, &[Exactness::Products, Exactness::Steps, Exactness::Halves]),
            (1e-4, &ALL),
            (f64::NAN, &[]),
            (f64::INFINITY, &[]),
        ] {
            for exactness in ALL {
                let judged = seen(difference, 0.0).judge(exactness);
                assert_eq!(
                    judged.is_ok(),
                    allowed.contains(&exactness),
                    "{difference} {exactness:?}"
                );
            }
            assert!(seen(0.0, difference).judge(Exactness::Products).is_err() || difference < 1e-3);
        }
        assert!(greater(f64::NAN, 1.0).is_nan() && greater(1.0, f64::NAN).is_nan());
        assert!(difference(&[1.0, f32::NAN], &[1.0, f32::NAN]).is_nan());
        assert_eq!(difference(&[1.0, 2.0], &[1.0]), f64::INFINITY);
    }

    #[test]
    fn both_sequences_cross_blocks_in_the_middle_of_a_piece() {
        let block = crate::llm::kv::paged::BLOCK_TOKENS;
        for slot in [0, 1] {
            let mut past = 0;
            let mut crossed = 0;
            for step in STEPS {
                crossed += usize::from(past / block != (past + step[slot] - 1) / block && step[slot] > 1);
                past += step[slot];
            }
            assert!(crossed >= 2, "sequence {slot}");
        }
        assert_ne!(tokens(0)[..20], tokens(1)[..20]);
    }
}
