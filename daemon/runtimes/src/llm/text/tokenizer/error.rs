//! What can go wrong with a tokenizer, and what its user can do.

use std::path::PathBuf;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, chain};

use crate::llm::text::files::ReadError;
use crate::llm::text::guard::Interrupted;

/// The library's own error type.
type LibraryError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum TokenizerError {
    #[error(
        "{} is missing: this package cannot be used without it; import one in the Hugging Face layout, \
         which has it",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{} cannot be understood: import the package again, or another one", path.display())]
    Parse {
        path: PathBuf,
        #[source]
        source: LibraryError,
    },
    #[error("{} is refused: {reason}", path.display())]
    Refused { path: PathBuf, reason: String },
    #[error("the text cannot be encoded by this package's tokenizer")]
    Encode(#[source] LibraryError),
    #[error("the tokens cannot be decoded by this package's tokenizer")]
    Decode(#[source] LibraryError),
    #[error("this package's tokenizer is damaged: it fails on its own rules; import another package")]
    Panicked,
    #[error(
        "this package's tokenizer needs more than {} s for {bytes} bytes of text: its patterns are too \
         costly; use another package",
        limit.as_secs_f32()
    )]
    TooSlow { bytes: usize, limit: Duration },
    #[error("no thread can be started for the tokenizer: close other programs and try again")]
    NoThread(#[source] std::io::Error),
    #[error("the prompt has {tokens} tokens, more than the {limit} that fit into the context: shorten it")]
    TooMany { tokens: usize, limit: usize },
    #[error(
        "the prompt has at least {tokens} tokens, more than the {limit} that fit into the context: shorten it"
    )]
    TooManyAtLeast { tokens: usize, limit: usize },
}

impl TokenizerError {
    /// `bytes` is the size of the text that was worked on.
    pub(super) fn interrupted(why: Interrupted, bytes: usize) -> Self {
        match why {
            Interrupted::TooSlow(limit) => Self::TooSlow { bytes, limit },
            Interrupted::Panicked => Self::Panicked,
            Interrupted::NoThread(error) => Self::NoThread(error),
        }
    }

    /// For a text that is too long: its tokens, and whether that is all of them.
    pub(in crate::llm::text) fn too_many(&self) -> Option<(usize, bool)> {
        if let Self::TooMany { tokens, .. } = self {
            return Some((*tokens, true));
        }
        if let Self::TooManyAtLeast { tokens, .. } = self {
            Some((*tokens, false))
        } else {
            None
        }
    }
}

impl From<TokenizerError> for Fault {
    fn from(error: TokenizerError) -> Self {
        let kind = match error {
            TokenizerError::Missing { .. } => ErrorKind::ModelIncompatible,
            TokenizerError::Read(error) => return error.into(),
            TokenizerError::Parse { .. }
            | TokenizerError::Refused { .. }
            | TokenizerError::Encode(_)
            | TokenizerError::Decode(_)
            | TokenizerError::Panicked
            | TokenizerError::TooSlow { .. } => ErrorKind::ModelInvalid,
            TokenizerError::NoThread(_) => ErrorKind::OutOfMemory,
            TokenizerError::TooMany { .. } | TokenizerError::TooManyAtLeast { .. } => {
                ErrorKind::ContextLengthExceeded
            }
        };
        Self::new(kind, chain(&error))
    }
}
