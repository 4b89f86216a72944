//! What changes the logits before temperature: bias and penalties.

use std::collections::{HashMap, HashSet};

use airunner_core::generate::Sampling;

/// Bias and penalties of one request, and the tokens they look at.
#[derive(Debug)]
pub(super) struct Penalties {
    bias: Vec<(usize, f32)>,
    repetition: f32,
    frequency: f32,
    presence: f32,
    /// Distinct tokens of prompt and answer, in the order they came; empty without a repetition penalty.
    seen: Vec<u32>,
    known: HashSet<u32>,
    /// Occurrences in the answer.
    answered: HashMap<u32, u32>,
}

impl Penalties {
    pub(super) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let mut penalties = Self {
            bias: sampling
                .logit_bias
                .iter()
                .map(|(&token, &bias)| (token as usize, bias))
                .collect(),
            repetition: sampling.repetition_penalty.unwrap_or(1.0),
            frequency: sampling.frequency_penalty.unwrap_or(0.0),
            presence: sampling.presence_penalty.unwrap_or(0.0),
            seen: Vec::new(),
            known: HashSet::new(),
            answered: HashMap::new(),
        };
        prompt.iter().for_each(|&token| penalties.see(token));
        penalties
    }

    /// Whether [`apply`](Self::apply) would change anything at any time.
    pub(super) fn are_off(&self) -> bool {
        self.bias.is_empty() && !self.repeats() && !self.counts()
    }

    fn repeats(&self) -> bool {
        self.repetition != 1.0
    }

    fn counts(&self) -> bool {
        self.frequency != 0.0 || self.presence != 0.0
    }

    fn see(&mut self, token: u32) {
        if self.repeats() && self.known.insert(token) {
            self.seen.push(token);
        }
    }

    /// The answer has one more token.
    pub(super) fn accept(&mut self, token: u32) {
        self.see(token);
        if self.counts() {
            *self.answered.entry(token).or_default() += 1;
        }
    }

    /// Tokens beyond the row are passed over: a vocabulary may be smaller than a caller thinks.
    pub(super) fn apply(&self, logits: &mut [f32]) {
        for &(token, bias) in &self.bias {
            if let Some(logit) = logits.get_mut(token) {
                *logit += bias;
            }
        }
        for &token in &self.seen {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 {
                    *logit / self.repetition
                } else {
                    *logit * self.repetition
                };
            }
        }
        for (&token, &count) in &self.answered {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit -= self.frequency * count as f32 + self.presence;
            }
        }
    }
}
