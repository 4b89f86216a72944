//! Functions that templates expect.

use jiff::Zoned;
use jiff::fmt::strtime;
use minijinja::{Error, ErrorKind, Value};

use super::error::Raised;

/// Refuses the conversation in the template's own words.
pub(super) fn raise_exception(message: &str) -> Result<Value, Error> {
    let raised = Raised(message.to_owned());
    Err(Error::new(ErrorKind::InvalidOperation, message.to_owned()).with_source(raised))
}

/// Python's `strftime` of a fixed time.
pub(super) fn strftime_now(now: &Zoned) -> Value {
    let now = now.clone();
    Value::from_function(move |format: &str| -> Result<String, Error> {
        strtime::format(format, &now).map_err(|error| {
            Error::new(
                ErrorKind::InvalidOperation,
                "strftime_now cannot follow its format",
            )
            .with_source(error)
        })
    })
}
