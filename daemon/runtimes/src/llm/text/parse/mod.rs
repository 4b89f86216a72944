//! What a model writes, taken apart: text, reasoning and tool calls.
//!
//! Works on text and knows no tokens. What does not keep to its format is plain text: nothing
//! that the model wrote is lost.

mod calls;
mod format;
mod identifier;
mod parser;
#[cfg(test)]
mod tests;

pub use format::OutputFormat;
pub use parser::{OutputParser, Parsed};
