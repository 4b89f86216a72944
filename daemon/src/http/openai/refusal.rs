//! Refusals that name the field.

use airunner_core::{ErrorKind, Fault};

/// The value of a field is not allowed.
pub(super) fn wrong(param: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault::invalid(message).figure("param", param.into())
}

/// What a field asks for cannot be had here.
pub(super) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault::new(ErrorKind::ModelIncompatible, message).figure("param", param.into())
}
