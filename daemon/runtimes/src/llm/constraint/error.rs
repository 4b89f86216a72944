//! Why an answer cannot be held to a format.

use std::time::Duration;

use airunner_core::{ErrorKind, Fault};

use crate::llm::text::Interrupted;

#[derive(Debug, thiserror::Error)]
pub(crate) enum ConstraintError {
    #[error("the format cannot be used: {0}")]
    Grammar(String),
    #[error("the schema is nested more than {limit} deep")]
    TooDeep { limit: usize },
    #[error(
        "the format is too complex: computing what may come next took more than {} ms; simplify it",
        limit.as_millis()
    )]
    TooSlow { limit: Duration },
    #[error("the format is too complex: {0}; simplify it")]
    TooComplex(String),
    #[error(
        "no token of this model can go on with what the format asks for: use another format or another model"
    )]
    NoToken,
    #[error("the beginning of the answer that the request gives does not fit its format")]
    Beginning,
    #[error("formats cannot be used with this model: its tokenizer does not say which text each token is")]
    Vocabulary,
    #[error("the model's tokenizer cannot be prepared for formats: {0}")]
    Internal(String),
}

impl ConstraintError {
    /// Of a guarded computation over a request's grammar.
    pub(super) fn interrupted(why: Interrupted) -> Self {
        match why {
            Interrupted::TooSlow(limit) => Self::TooSlow { limit },
            Interrupted::Panicked => Self::Grammar("it cannot be compiled".to_owned()),
            Interrupted::NoThread(error) => Self::Internal(error.to_string()),
        }
    }
}

impl From<ConstraintError> for Fault {
    fn from(error: ConstraintError) -> Self {
        let kind = match &error {
            ConstraintError::Internal(_) => ErrorKind::Internal,
            ConstraintError::Grammar(_)
            | ConstraintError::TooDeep { .. }
            | ConstraintError::TooSlow { .. }
            | ConstraintError::TooComplex(_)
            | ConstraintError::NoToken
            | ConstraintError::Beginning
            | ConstraintError::Vocabulary => ErrorKind::InvalidArgument,
        };
        Self::new(kind, error.to_string())
    }
}
