//! Python's methods of strings, lists and mappings.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Called for every method the engine does not know.
pub(super) fn call(
    state: &mut State<'_, '_>,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    // Each call may look at the whole text; the engine itself counts only what it returns.
    state.consume_fuel(value.as_str().map_or(1, |text| 1 + text.len() as u64 / 64))?;
    match unknown_method_callback(state, value, method, arguments) {
        Err(error) if error.kind() == ErrorKind::UnknownMethod => {}
        result => return result,
    }
    match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => of_string(text, method, arguments),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn of_string(text: &str, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    match method {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(arguments)?;
            Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)))
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(arguments)?;
            Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)))
        }
        "partition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            Ok(parts(
                text.split_once(separator)
                    .map(|(before, after)| [before, separator, after]),
                [text, "", ""],
            ))
        }
        "rpartition" => {
            let (separator,): (&str,) = from_args(arguments)?;
            Ok(parts(
                text.rsplit_once(separator)
                    .map(|(before, after)| [before, separator, after]),
                ["", "", text],
            ))
        }
        "rsplit" => {
            let (separator, most): (&str, Option<i64>) = from_args(arguments)?;
            let most = most
                .and_then(|most| usize::try_from(most).ok())
                .unwrap_or(usize::MAX - 1);
            let mut pieces: Vec<Value> = text.rsplitn(most + 1, separator).map(Value::from).collect();
            pieces.reverse();
            Ok(Value::from(pieces))
        }
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn parts(found: Option<[&str; 3]>, otherwise: [&str; 3]) -> Value {
    Value::from(Tuple::from(found.unwrap_or(otherwise).map(Value::from)))
}
