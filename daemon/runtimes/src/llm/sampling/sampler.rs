//! The sampler of one request.

use airunner_core::generate::Sampling;
use airunner_core::{ErrorKind, Fault};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::candidates::{Candidates, Shape};
use super::logprobs::{Logprobs, logprobs};
use super::numeric::{Peak, peak, position};
use super::penalties::Penalties;

/// Why no token could be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError {
    #[error(
        "the model computed logits that are not numbers: its weights are damaged or its number format \
         overflows on this device; try another file of the package"
    )]
    NotANumber,
    #[error("the model rules out every token of its vocabulary: nothing can be chosen")]
    NothingLeft,
}

impl From<SamplingError> for Fault {
    fn from(error: SamplingError) -> Self {
        Self::new(ErrorKind::ModelFaulty, error.to_string())
    }
}

/// A chosen token.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampled {
    pub token: u32,
    /// Only when the request asked for them.
    pub logprobs: Option<Logprobs>,
}

/// Rules out tokens by setting their logits to minus infinity.
pub type Restrict<'r> = &'r dyn Fn(&mut [f32]);

/// Chooses the tokens of one answer, in order.
#[derive(Debug)]
pub struct Sampler {
    penalties: Penalties,
    /// `None` is greedy.
    shape: Option<Shape>,
    random: ChaCha8Rng,
    top_logprobs: Option<usize>,
    scratch: Vec<f32>,
    candidates: Candidates,
}

impl Sampler {
    /// `sampling` has the package's defaults merged in and is within its ranges; `fresh_seed`
    /// serves when it names none; `prompt` is what the repetition penalty looks back on.
    #[must_use]
    pub fn new(sampling: &Sampling, top_logprobs: Option<u32>, fresh_seed: u64, prompt: &[u32]) -> Self {
        let temperature = sampling.temperature.unwrap_or(1.0);
        let shape = (temperature > 0.0).then(|| Shape {
            temperature,
            top_k: sampling.top_k.unwrap_or(0) as usize,
            top_p: sampling.top_p.unwrap_or(1.0),
            min_p: sampling.min_p.unwrap_or(0.0),
        });
        Self {
            penalties: Penalties::new(sampling, prompt),
            shape,
            random: ChaCha8Rng::seed_from_u64(sampling.seed.unwrap_or(fresh_seed)),
            top_logprobs: top_logprobs.map(|count| count as usize),
            scratch: Vec::new(),
            candidates: Candidates::default(),
        }
    }

    /// The next token by its row of logits. It counts as a token of the answer from here on.
    pub fn sample(&mut self, logits: &[f32]) -> Result<Sampled, SamplingError> {
        self.sample_within(logits, None)
    }

    /// The same, where `restrict` has ruled out tokens by setting their logits to minus infinity.
    pub fn sample_within(
        &mut self,
        logits: &[f32],
        restrict: Option<Restrict<'_>>,
    ) -> Result<Sampled, SamplingError> {
        let highest = number(peak(logits))?;
        let token = match restrict {
            None if self.penalties.are_off() => self.choose(logits, highest),
            _ => self.choose_changed(logits, restrict)?,
        };
        self.penalties.accept(token);
        let logprobs = self.top_logprobs.map(|top| logprobs(logits, highest, token, top));
        Ok(Sampled { token, logprobs })
    }

    fn choose_changed(
        &mut self,
        logits: &[f32],
        restrict: Option<Restrict<'_>>,
    ) -> Result<u32, SamplingError> {
        let mut row = std::mem::take(&mut self.scratch);
        row.clear();
        row.extend_from_slice(logits);
        if !self.penalties.are_off() {
            self.penalties.apply(&mut row);
        }
        if let Some(restrict) = restrict {
            restrict(&mut row);
        }
        let token = number(peak(&row)).map(|highest| self.choose(&row, highest));
        self.scratch = row;
        token
    }

    fn choose(&mut self, logits: &[f32], highest: f32) -> u32 {
        match self.shape {
            None => position(logits, highest).map_or(0, |index| index as u32),
            Some(shape) => {
                let unit = self.unit();
                self.candidates.draw(logits, highest, shape, unit)
            }
        }
    }

    /// 53 random bits in [0, 1): one draw per token, whatever the settings.
    fn unit(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }
}

fn number(peak: Peak) -> Result<f32, SamplingError> {
    match peak {
        Peak::At(highest) => Ok(highest),
        Peak::NotANumber => Err(SamplingError::NotANumber),
        Peak::Nothing => Err(SamplingError::NothingLeft),
    }
}
