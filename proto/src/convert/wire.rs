//! Small checks that every conversion needs.

use airunner_core::{ErrorKind, Fault};

/// A field of a request that must be set.
pub(super) fn required<T>(value: Option<T>, field: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::invalid(format!("{field} is missing: set it")))
}

/// A word of a request that must be one of `allowed`.
pub(super) fn refused<T>(value: Option<T>, field: &str, text: &str, allowed: &str) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::invalid(format!("{field} is {:?}: use one of {allowed}", shortened(text))))
}

/// Refuses a list of a request that is too long.
pub(super) fn at_most(count: usize, limit: usize, field: &str) -> Result<(), Fault> {
    if count > limit {
        return Err(Fault::invalid(format!(
            "{field} has {count} entries: at most {limit} are allowed"
        )));
    }
    Ok(())
}

/// Refuses a text of a request that is too long.
pub(super) fn at_most_bytes(text: &str, limit: usize, field: &str) -> Result<(), Fault> {
    if text.len() > limit {
        return Err(Fault::invalid(format!(
            "{field} has {} bytes: at most {limit} are allowed",
            text.len()
        )));
    }
    Ok(())
}

/// Refuses a text of a request that is too long or has characters no name has.
pub(super) fn plain_text(text: &str, limit: usize, field: &str) -> Result<(), Fault> {
    at_most_bytes(text, limit, field)?;
    if text.chars().any(char::is_control) {
        return Err(Fault::invalid(format!(
            "{field} has a control character: leave it out"
        )));
    }
    Ok(())
}

/// A field of an answer that must be set.
pub(super) fn answered<T>(value: Option<T>, field: &str) -> Result<T, Fault> {
    value.ok_or_else(|| not_understood(field, "it is missing"))
}

/// A word of an answer that must be known here.
pub(super) fn known<T>(value: Option<T>, field: &str, text: &str) -> Result<T, Fault> {
    value.ok_or_else(|| not_understood(field, &format!("{:?} is unknown", shortened(text))))
}

/// An answer that does not follow the protocol.
pub(super) fn not_understood(field: &str, why: &str) -> Fault {
    Fault::new(
        ErrorKind::Internal,
        format!(
            "the answer's {field} is not understood: {why}; use a client and a daemon of the same version"
        ),
    )
}

/// Proto3 has no absent string: the empty one stands for it.
pub(super) fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(64).map_or(text.len(), |(index, _)| index);
    &text[..end]
}
