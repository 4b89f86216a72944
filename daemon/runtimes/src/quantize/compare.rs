//! What a quantized model says otherwise than the original, on one text.
//!
//! Both compute the same windows of the text, one model after the other. Of what the first one
//! says is kept what decides: all logits where they have room, or else the largest of them.

use std::path::{Path, PathBuf};

use airunner_core::Fault;
use airunner_core::model::CacheType;
use airunner_core::quantize::QuantizeComparison;

use super::predictions::{Kept, Sums};
use super::run::most_precise;
use super::{QuantizeError, Watcher};
use crate::llm::session::Model;
use crate::llm::text::TextModel;
use crate::llm::{Cache, ComputeError, open_cache, whole};
use crate::package::Package;
use crate::{Kernels, LoadOptions};

/// What is compared unless somebody brings a text.
const PROSE: &str = include_str!("prose.txt");
/// Tokens of a text that are compared on.
pub const MOST_TOKENS: usize = 8192;
/// The same where a graph has to be run once for each.
const MOST_STEPS: usize = 512;
/// Tokens that are computed at once at most; each such window begins anew.
const LONGEST_WINDOW: usize = 256;
/// Below that there is too little to go by.
const SHORTEST_WINDOW: usize = 16;
/// Logits of a window, bytes.
const WINDOW_BYTES: usize = 64 << 20;
/// What is kept of the first model's predictions, bytes.
const KEPT_BYTES: usize = 128 << 20;
/// Beside the models: what is kept, and a window as it comes and as it is read.
pub(super) const COMPARING_MEMORY: u64 = (KEPT_BYTES + 3 * WINDOW_BYTES) as u64;

/// With what to compare.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    pub onnxruntime_library: PathBuf,
    pub threads: usize,
    /// `None`: a text of the program's own.
    pub text: Option<String>,
}

/// What was found on how much of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    pub comparison: QuantizeComparison,
    /// The text is longer than what was compared on.
    pub is_cut: bool,
}

/// Computes a text with both packages.
pub fn compare(
    original: &Path,
    made: &Path,
    options: &CompareOptions,
    watcher: &dyn Watcher,
) -> Result<Compared, QuantizeError> {
    let original = most_precise(original)?;
    let made = Package::open(made)?;
    let (tokens, first) = tokens(&original, options)?;
    let mut run = Run::open(&original, options)?;
    let windows = Windows::of(&tokens, first, run.limits(&original)?)?;
    let count = windows.all.len() as f64;
    let room = KEPT_BYTES / windows.predicted().max(1);
    let mut kept = Vec::with_capacity(windows.all.len());
    for (number, window) in windows.all.iter().enumerate() {
        follow(watcher, number as f64 / count / 2.0)?;
        let mut predictions = Vec::with_capacity(window.len());
        run.predict(window, watcher, &mut |logits, next| {
            predictions.push(Kept::of(logits, next, room));
        })?;
        kept.push(predictions);
    }
    drop(run);
    let mut run = Run::open(&made, options)?;
    let mut sums = Sums::default();
    for (number, (window, kept)) in windows.all.iter().zip(&kept).enumerate() {
        follow(watcher, 0.5 + number as f64 / count / 2.0)?;
        let mut before = kept.iter();
        run.predict(window, watcher, &mut |logits, next| {
            if let Some(before) = before.next() {
                sums.add(before, logits, next);
            }
        })?;
    }
    Ok(Compared {
        comparison: sums.comparison(),
        is_cut: windows.is_cut,
    })
}

/// The text, and the token that texts begin with, if there is one.
fn tokens(package: &Package, options: &CompareOptions) -> Result<(Vec<u32>, Option<u32>), QuantizeError> {
    let text = TextModel::load(package.files().root(), &package.config().end_tokens).map_err(boxed)?;
    let words = options.text.as_deref().unwrap_or(PROSE);
    let tokens = text.tokenize(words, false).map_err(boxed)?;
    let (with, without) = (text.tokenize("a", true), text.tokenize("a", false));
    let (with, without) = (with.map_err(boxed)?, without.map_err(boxed)?);
    let first = with
        .first()
        .copied()
        .filter(|first| without.first() != Some(first));
    Ok((tokens, first))
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

/// Of a text, of a window.
#[derive(Clone, Copy, Debug)]
struct Limits {
    tokens: usize,
    window: usize,
}

impl Limits {
    fn of(vocabulary: usize, context: Option<u32>, is_whole: bool) -> Self {
        let room = WINDOW_BYTES / size_of::<f32>() / vocabulary.max(1);
        let context = context.map_or(usize::MAX, |length| length as usize);
        Self {
            tokens: if is_whole { MOST_TOKENS } else { MOST_STEPS },
            window: room.clamp(SHORTEST_WINDOW, LONGEST_WINDOW).min(context),
        }
    }
}

/// Parts of a text of about the same length.
#[derive(Debug, PartialEq)]
struct Windows {
    all: Vec<Vec<u32>>,
    is_cut: bool,
}

impl Windows {
    /// Each begins with `first` if texts do.
    fn of(tokens: &[u32], first: Option<u32>, limits: Limits) -> Result<Self, QuantizeError> {
        let used = &tokens[..tokens.len().min(limits.tokens)];
        let longest = limits.window.saturating_sub(usize::from(first.is_some()));
        if used.len() < 2 || longest < 2 {
            let message = "the text is too short to compare models on: it needs two tokens at least";
            return Err(boxed(Fault::invalid(message)));
        }
        let count = used.len().div_ceil(longest);
        let window = |part: &[u32]| first.iter().chain(part).copied().collect();
        Ok(Self {
            all: used.chunks(used.len().div_ceil(count)).map(window).collect(),
            is_cut: used.len() < tokens.len(),
        })
    }

    /// The first token of each is given.
    fn predicted(&self) -> usize {
        self.all.iter().map(|window| window.len() - 1).sum()
    }
}

/// A model that computes windows.
struct Run {
    model: Model,
    /// For a graph that gives only the logits behind the last token.
    steps: Option<Box<dyn Cache>>,
}

impl Run {
    fn open(package: &Package, options: &CompareOptions) -> Result<Self, QuantizeError> {
        let load = LoadOptions {
            directory: package.files().root().to_owned(),
            onnxruntime_library: options.onnxruntime_library.clone(),
            threads: Some(options.threads),
            allow_spinning: false,
            context_length: None,
            parallel_requests: 1,
            queue_length: 1,
            prompt_chunk: 1,
            variant: Some(package.variant().to_owned()),
            prepacked_directory: None,
            cache_type: CacheType::Auto,
            cache_on_disk: None,
            kernels: Kernels::Auto,
        };
        let mut model = Model::open(package, &load)?;
        let steps = match whole(&mut model, &[0, 0]) {
            Ok(_) => None,
            Err(ComputeError::LogitsShape { .. }) => Some(open_cache(&model, package, 1, LONGEST_WINDOW + 1)),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { model, steps })
    }

    fn limits(&mut self, package: &Package) -> Result<Limits, QuantizeError> {
        let vocabulary = match &mut self.steps {
            None => whole(&mut self.model, &[0])?.vocabulary(),
            Some(cache) => {
                let logits = cache.extend(&mut self.model, 0, &[0])?;
                cache.truncate(0, 0)?;
                logits.vocabulary()
            }
        };
        let context = package.config().context_length;
        Ok(Limits::of(vocabulary, context, self.steps.is_none()))
    }

    /// Tells the logits behind each token of a window but the last, and the token that comes.
    fn predict(
        &mut self,
        window: &[u32],
        watcher: &dyn Watcher,
        told: &mut dyn FnMut(&[f32], u32),
    ) -> Result<(), QuantizeError> {
        let given = &window[..window.len() - 1];
        let Some(cache) = &mut self.steps else {
            let logits = whole(&mut self.model, given)?;
            for (row, &next) in window[1..].iter().enumerate() {
                told(logits.row(row)?, next);
            }
            return Ok(());
        };
        cache.truncate(0, 0)?;
        for (token, &next) in given.iter().zip(&window[1..]) {
            if watcher.is_cancelled() {
                return Err(QuantizeError::Cancelled);
            }
            let logits = cache.extend(&mut self.model, 0, &[*token])?;
            told(logits.row(0)?, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(tokens: usize, first: Option<u32>, limits: Limits) -> Option<(Vec<usize>, bool)> {
        let windows = Windows::of(&vec![1; tokens], first, limits).ok()?;
        assert!(first.is_none() || windows.all.iter().all(|window| window[0] == 7));
        Some((windows.all.iter().map(Vec::len).collect(), windows.is_cut))
    }

    #[test]
    fn a_text_is_computed_in_windows_of_about_the_same_length() {
        let limits = Limits::of(1000, Some(2048), true);
        assert_eq!(lengths(200, None, limits), Some((vec![200], false)));
        assert_eq!(lengths(600, None, limits), Some((vec![200; 3], false)));
        assert_eq!(lengths(510, Some(7), limits), Some((vec![256; 2], false)));
        assert_eq!(lengths(2, Some(7), limits), Some((vec![3], false)));
        assert_eq!(lengths(1, None, limits), None);
        let (windows, is_cut) = lengths(300_000, None, limits).unwrap();
        assert_eq!((windows.iter().sum::<usize>(), is_cut), (MOST_TOKENS, true));
    }

    #[test]
    fn a_window_has_room_for_its_logits_and_fits_the_model() {
        assert_eq!(Limits::of(128_256, Some(131_072), true).window, 130);
        assert_eq!(Limits::of(2_000_000, None, true).window, SHORTEST_WINDOW);
        assert_eq!(Limits::of(1000, Some(64), true).window, 64);
        assert_eq!(Limits::of(1000, None, false).tokens, MOST_STEPS);
    }
}
