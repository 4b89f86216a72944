//! What a model writes, taken apart: text, reasoning and tool calls.
//!
//! Works on text and knows no tokens. What does not keep to its format is plain text: nothing
//! that the model wrote is lost.

mod calls;
mod channels;
mod format;
mod identifier;
mod kinds;
mod parser;
pub(super) mod probe;
mod pythonic;
mod streamed;
#[cfg(test)]
mod tests;
mod xml;

pub use format::OutputFormat;
pub(in crate::llm) use format::{Body, CHANNEL_MARKS, CallFormat, Frame};
pub(in crate::llm) use kinds::{Kinds, choices};
pub use parser::{OutputParser, Parsed};
