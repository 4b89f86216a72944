//! What a quantized model says otherwise than the original, on one text.
//!
//! Both compute the same tokens, one model after the other; the logits of the first are kept.

use std::path::{Path, PathBuf};

use airunner_core::Fault;
use airunner_core::model::CacheType;
use airunner_core::quantize::QuantizeComparison;

use super::run::most_precise;
use super::{QuantizeError, Watcher};
use crate::llm::session::Model;
use crate::llm::text::TextModel;
use crate::llm::{ComputeError, open_cache};
use crate::package::Package;
use crate::{Kernels, LoadOptions};

/// What is compared unless somebody brings a text.
const PROSE: &str = include_str!("prose.txt");
/// Pieces of the text that are computed side by side.
const PIECES: usize = 8;
/// Tokens of a piece at most.
const LONGEST: usize = 64;
/// Logits that are kept, bytes.
pub(super) const KEPT_BYTES: u64 = 256 << 20;

/// With what to compare.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    pub onnxruntime_library: PathBuf,
    pub threads: usize,
    /// `None`: a text of the program's own.
    pub text: Option<String>,
}

/// Computes a text with both packages.
pub fn compare(
    original: &Path,
    made: &Path,
    options: &CompareOptions,
    watcher: &dyn Watcher,
) -> Result<QuantizeComparison, QuantizeError> {
    let original = most_precise(original)?;
    let made = Package::open(made)?;
    let text = TextModel::load(original.files().root(), &original.config().end_tokens).map_err(boxed)?;
    let tokens = text
        .tokenize(options.text.as_deref().unwrap_or(PROSE), false)
        .map_err(boxed)?;
    drop(text);
    let mut sums = Sums::default();
    let mut run = Run::open(&original, options)?;
    let pieces = Pieces::of(&tokens, run.batch_limit(), run.vocabulary()?)?;
    let steps = (2 * pieces.length).max(1) as f64;
    let mut kept = Vec::new();
    for step in 0..pieces.length - 1 {
        follow(watcher, step as f64 / steps)?;
        kept.push(run.step(&pieces, step)?);
    }
    drop(run);
    let mut run = Run::open(&made, options)?;
    for (step, before) in kept.iter().enumerate() {
        follow(watcher, 0.5 + step as f64 / steps)?;
        let after = run.step(&pieces, step)?;
        for (piece, (before, after)) in before.iter().zip(&after).enumerate() {
            sums.add(before, after, pieces.token(piece, step + 1));
        }
    }
    Ok(sums.comparison())
}

fn boxed(fault: Fault) -> QuantizeError {
    QuantizeError::Compute(Box::new(fault))
}

fn follow(watcher: &dyn Watcher, fraction: f64) -> Result<(), QuantizeError> {
    if watcher.is_cancelled() {
        return Err(QuantizeError::Cancelled);
    }
    watcher.progress(fraction);
    Ok(())
}

/// Parts of a text of the same length.
struct Pieces<'t> {
    tokens: &'t [u32],
    count: usize,
    length: usize,
}

impl<'t> Pieces<'t> {
    /// As many tokens as can be computed side by side and whose logits can be kept.
    fn of(tokens: &'t [u32], side_by_side: usize, vocabulary: usize) -> Result<Self, QuantizeError> {
        let count = PIECES.min(side_by_side).min(tokens.len() / 2).max(1);
        let room = KEPT_BYTES as usize / 4 / vocabulary.max(1) / count;
        let length = LONGEST.min(tokens.len() / count).min(room);
        if length < 2 {
            let message = "the text is too short to compare models on: it needs two tokens at least";
            return Err(boxed(Fault::invalid(message)));
        }
        Ok(Self {
            tokens,
            count,
            length,
        })
    }

    fn token(&self, piece: usize, place: usize) -> u32 {
        self.tokens[piece * self.length + place]
    }
}

/// A model that computes all pieces at the same pace.
struct Run {
    model: Model,
    cache: Box<dyn crate::llm::Cache>,
}

impl Run {
    fn open(package: &Package, options: &CompareOptions) -> Result<Self, QuantizeError> {
        let load = LoadOptions {
            directory: package.files().root().to_owned(),
            onnxruntime_library: options.onnxruntime_library.clone(),
            threads: Some(options.threads),
            allow_spinning: false,
            context_length: None,
            parallel_requests: PIECES,
            queue_length: 1,
            prompt_chunk: 1,
            variant: Some(package.variant().to_owned()),
            prepacked_directory: None,
            cache_type: CacheType::Auto,
            kernels: Kernels::Auto,
        };
        let model = Model::open(package, &load)?;
        let cache = open_cache(&model, package, PIECES, LONGEST + 1);
        Ok(Self { model, cache })
    }

    fn batch_limit(&self) -> usize {
        self.cache.batch_limit()
    }

    fn vocabulary(&mut self) -> Result<usize, QuantizeError> {
        let logits = self.cache.extend(&mut self.model, 0, &[0])?;
        self.cache.truncate(0, 0)?;
        Ok(logits.vocabulary())
    }

    /// The logits behind one token of each piece.
    fn step(&mut self, pieces: &Pieces<'_>, step: usize) -> Result<Vec<Vec<f32>>, ComputeError> {
        let rows: Vec<(usize, u32)> = (0..pieces.count)
            .map(|piece| (piece, pieces.token(piece, step)))
            .collect();
        let logits = if step == 0 {
            // What a slot begins with is not a decode.
            let mut all = Vec::with_capacity(rows.len());
            for (slot, token) in rows {
                let logits = self.cache.extend(&mut self.model, slot, &[token])?;
                all.push(logits.row(0)?.to_vec());
            }
            return Ok(all);
        } else {
            self.cache.decode(&mut self.model, &rows)?
        };
        (0..pieces.count)
            .map(|piece| Ok(logits.row(piece)?.to_vec()))
            .collect()
    }
}

/// What is added up over all predictions.
#[derive(Default)]
struct Sums {
    tokens: u32,
    divergence: f64,
    before: f64,
    after: f64,
    same_first: u32,
}

impl Sums {
    /// Two predictions and the token that really comes.
    fn add(&mut self, before: &[f32], after: &[f32], next: u32) {
        let (of_before, of_after) = (log_sum(before), log_sum(after));
        self.tokens += 1;
        self.divergence += before
            .iter()
            .zip(after)
            .map(|(&one, &other)| {
                let (one, other) = (f64::from(one) - of_before, f64::from(other) - of_after);
                one.exp() * (one - other)
            })
            .sum::<f64>()
            .max(0.0);
        let surprise =
            |logits: &[f32], sum: f64| sum - logits.get(next as usize).map_or(0.0, |&one| f64::from(one));
        self.before += surprise(before, of_before);
        self.after += surprise(after, of_after);
        self.same_first += u32::from(first(before) == first(after));
    }

    fn comparison(&self) -> QuantizeComparison {
        let tokens = f64::from(self.tokens.max(1));
        QuantizeComparison {
            tokens: self.tokens,
            kl_divergence: self.divergence / tokens,
            perplexity_before: (self.before / tokens).exp(),
            perplexity_after: (self.after / tokens).exp(),
            same_first: f64::from(self.same_first) / tokens,
        }
    }
}

/// Logarithm of the sum of the exponentials.
fn log_sum(logits: &[f32]) -> f64 {
    let most = logits.iter().fold(f32::NEG_INFINITY, |most, &one| most.max(one));
    let most = f64::from(most);
    most + logits
        .iter()
        .map(|&one| (f64::from(one) - most).exp())
        .sum::<f64>()
        .ln()
}

fn first(logits: &[f32]) -> Option<usize> {
    let numbered = logits.iter().enumerate();
    numbered
        .max_by(|one, other| one.1.total_cmp(other.1))
        .map(|(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_and_perplexity_are_those_of_the_books() {
        let mut sums = Sums::default();
        let quarters = [0.25_f32.ln(), 0.75_f32.ln()];
        let halves = [0.0, 0.0];
        sums.add(&quarters, &halves, 0);
        let made = sums.comparison();
        let expected = 0.25 * (0.25_f64 / 0.5).ln() + 0.75 * (0.75_f64 / 0.5).ln();
        assert!((made.kl_divergence - expected).abs() < 1e-6);
        assert!((made.perplexity_before - 4.0).abs() < 1e-5 && (made.perplexity_after - 2.0).abs() < 1e-6);
        sums.add(&halves, &halves, 1);
        let made = sums.comparison();
        assert!((made.kl_divergence - expected / 2.0).abs() < 1e-6);
        assert_eq!(made.tokens, 2);
    }

    #[test]
    fn the_text_is_cut_to_what_can_be_kept() {
        let tokens = vec![1; 1000];
        let of = |length: usize, side: usize, vocabulary| {
            let pieces = Pieces::of(&tokens[..length], side, vocabulary).ok()?;
            Some((pieces.count, pieces.length))
        };
        assert_eq!(of(1000, 8, 1000), Some((8, 64)));
        assert_eq!(of(1000, 1, 1000), Some((1, 64)));
        assert_eq!(of(100, 8, 1000), Some((8, 12)));
        assert_eq!(of(1000, 8, 256_000), Some((8, 32)));
        assert_eq!(of(3, 8, 1000), Some((1, 3)));
        assert_eq!(of(1, 8, 1000), None);
    }
}
