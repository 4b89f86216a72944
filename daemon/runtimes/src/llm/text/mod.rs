//! Everything between text and token ids: tokenizer, chat template, and what an answer's tokens
//! become for its reader. Knows nothing of sessions, tensors or batches.
//!
//! The engine needs three things of it:
//!
//! ```ignore
//! let text = TextModel::load(&directory, &eos_token_ids)?;      // once per model; Send + Sync, share by Arc
//! let prompt = text.prompt(&request.input, context_length)?;    // may take long: not on the engine's thread
//! let mut output = text.output(&request, &prompt, fresh_seed);  // once per request
//!
//! let sampled = sampler.sample(&logits)?;                       // sampling::Sampled { token, logprobs }
//! events.extend(output.push(&sampled));                         // Text, Reasoning, ToolCall
//! if output.stopped() { .. }                                    // end of sequence or a stop string
//! events.extend(output.finish());                               // what was held back
//! let reason = output.finish_reason();                          // Stop, ToolCalls, or Length when not stopped
//! ```

mod abilities;
mod config;
mod continuation;
mod eos;
mod files;
mod guard;
mod model;
mod output;
mod parse;
mod probing;
mod stop;
mod stream;
mod template;
mod tokenizer;

pub use abilities::Abilities;
pub use config::{SpecialTokens, TokenizerConfig};
pub use eos::EosSet;
pub(super) use guard::{Guard, Interrupted};
pub use model::{Prompt, TextModel, Thinking};
pub use output::Output;
pub(in crate::llm) use parse::{Body, CHANNEL_MARKS, CallFormat, Frame, Kinds, choices};
pub use parse::{OutputFormat, OutputParser, Parsed};
pub use stop::StopMatcher;
pub use stream::TextStream;
pub use template::{ChatTemplate, TemplateError};
pub(crate) use tokenizer::MAX_TOKENIZER_BYTES;
pub use tokenizer::{Tokenizer, TokenizerError};
