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
    pay(state, value, method, arguments)?;
    match unknown_method_callback(state, value, method, arguments) {
        Err(error) if error.kind() == ErrorKind::UnknownMethod => {}
        result => return result,
    }
    match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => of_string(text, method, arguments),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

/// Charges for the work and the memory of a call before it is made: the engine itself counts only
/// what a method returns, and only afterwards.
fn pay(state: &State<'_, '_>, value: &Value, method: &str, arguments: &[Value]) -> Result<(), Error> {
    let Some(text) = value.as_str() else {
        return state.consume_fuel(1 + value.len().unwrap_or(0) as u64);
    };
    let size = match (method, arguments) {
        ("replace", [from, to, ..]) => {
            let found = from.as_str().map_or(0, |from| text.matches(from).count());
            found.saturating_mul(to.as_str().map_or(0, str::len))
        }
        ("join", [list]) => list
            .len()
            .unwrap_or(0)
            .saturating_mul(text.len())
            .saturating_add(sizes(list)?),
        ("format", _) if has_long_number(text) => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "a width of more than four digits is refused",
            ));
        }
        _ => 0,
    };
    state.consume_fuel(1 + (size.saturating_add(text.len()) / BYTES_PER_FUEL) as u64)
}

/// As the engine counts.
const BYTES_PER_FUEL: usize = 64;

/// Bytes of the texts in a list.
fn sizes(list: &Value) -> Result<usize, Error> {
    Ok(list
        .try_iter()?
        .map(|item| item.as_str().map_or(0, str::len))
        .fold(0, usize::saturating_add))
}

fn has_long_number(format: &str) -> bool {
    format
        .split(|character: char| !character.is_ascii_digit())
        .any(|digits| digits.len() > 4)
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
