//! How the next token is chosen from a row of logits.
//!
//! The order of the steps is that of Hugging Face transformers, whose `generation_config.json`
//! the packages' defaults come from:
//!
//! 1. `logit_bias` is added,
//! 2. the repetition penalty divides (positive) or multiplies (negative) the logits of every token
//!    seen in prompt or answer,
//! 3. frequency and presence penalties are subtracted for the tokens of the answer,
//! 4. temperature 0 takes the largest logit, the smallest id among equals; else the logits are
//!    divided by the temperature,
//! 5. top-k keeps the k largest, smaller ids first among equals,
//! 6. top-p keeps the fewest of these whose probability, among these, reaches p,
//! 7. min-p drops what is less likely than p times the likeliest,
//! 8. one of the rest is drawn with a portable generator: the same seed gives the same draw on
//!    every machine.
//!
//! Log-probabilities are those of the untouched logits. Nothing is allocated per token.
//!
//! ```ignore
//! let mut sampler = Sampler::new(&sampling, request.top_logprobs, fresh_seed, &prompt_tokens);
//! let sampled = sampler.sample(&logits)?; // remembers the token for the penalties
//! ```

mod candidates;
mod logprobs;
mod numeric;
mod penalties;
#[cfg(test)]
mod properties;
mod sampler;

pub use logprobs::Logprobs;
pub use sampler::{Restrict, Sampled, Sampler, SamplingError};
