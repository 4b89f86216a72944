//! Why a conversation could not be rendered.

use airunner_core::{ErrorKind, Fault};

use crate::llm::text::guard::Interrupted;

/// What a template says about a conversation is shown up to this length, characters.
const MESSAGE_LIMIT: usize = 300;

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error(
        "this model has no chat template: it continues text but holds no conversations; send the prompt as \
         it is (--raw), or use a chat model"
    )]
    Missing,
    #[error("the chat template has {bytes} bytes, at most {limit} are allowed: use another package")]
    TooLarge { bytes: usize, limit: usize },
    #[error("the chat template of this package cannot be understood ({}); send the prompt as it is (--raw)", place(.0))]
    Syntax(#[source] minijinja::Error),
    /// The template itself raised this.
    #[error("this model's chat template refuses the conversation: {0}")]
    Refused(String),
    #[error(
        "the chat template of this package did not come to an end within its budget; send the prompt as it \
         is (--raw), or use another package"
    )]
    Endless,
    #[error("the chat template of this package failed ({}); send the prompt as it is (--raw)", place(.0))]
    Failed(#[source] minijinja::Error),
    #[error("the chat template of this package breaks its engine; send the prompt as it is (--raw)")]
    Panicked,
    #[error("there is not enough memory for the chat template: close other programs or send less")]
    NoThread(#[source] std::io::Error),
}

/// Marks an error as raised by the template on purpose.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

impl TemplateError {
    pub(super) fn interrupted(why: Interrupted) -> Self {
        match why {
            Interrupted::TooSlow(_) => Self::Endless,
            Interrupted::Panicked => Self::Panicked,
            Interrupted::NoThread(error) => Self::NoThread(error),
        }
    }

    pub(super) fn from_rendering(error: minijinja::Error) -> Self {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
        while let Some(error) = cause {
            if let Some(Raised(message)) = error.downcast_ref() {
                return Self::Refused(message.chars().take(MESSAGE_LIMIT).collect());
            }
            let out_of_fuel = |error: &minijinja::Error| error.kind() == minijinja::ErrorKind::OutOfFuel;
            if error.downcast_ref().is_some_and(out_of_fuel) {
                return Self::Endless;
            }
            cause = error.source();
        }
        Self::Failed(error)
    }
}

fn place(error: &minijinja::Error) -> String {
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    let what: String = what.chars().take(MESSAGE_LIMIT).collect();
    error
        .line()
        .map_or_else(|| what.clone(), |line| format!("line {line}: {what}"))
}

impl From<TemplateError> for Fault {
    fn from(error: TemplateError) -> Self {
        let kind = match error {
            TemplateError::NoThread(_) => ErrorKind::OutOfMemory,
            TemplateError::Missing
            | TemplateError::TooLarge { .. }
            | TemplateError::Syntax(_)
            | TemplateError::Refused(_)
            | TemplateError::Endless
            | TemplateError::Failed(_)
            | TemplateError::Panicked => ErrorKind::TemplateFailed,
        };
        Self::new(kind, error.to_string())
    }
}
