//! Requests to a model's tokenizer alone.

use crate::chat::Conversation;
use crate::name::ModelName;

/// Text, or a conversation to render first.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenizeInput {
    Text {
        text: String,
        /// Add what the tokenizer adds by itself, such as the begin-of-sequence token.
        add_special_tokens: bool,
    },
    Conversation(Conversation),
}

/// Which tokens is this?
#[derive(Clone, Debug, PartialEq)]
pub struct TokenizeRequest {
    pub model: ModelName,
    pub input: TokenizeInput,
}

/// Which text are these tokens?
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetokenizeRequest {
    pub model: ModelName,
    pub tokens: Vec<u32>,
    pub skip_special_tokens: bool,
}
