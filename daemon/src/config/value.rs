//! From what was written to what is meant. The error of each is what would be allowed.

use std::path::PathBuf;

use airunner_core::KeepAlive;

use super::settings::LogLevel;

/// A value as it was written.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Raw<'a> {
    Environment(&'a str),
    File(&'a toml_edit::Value),
}

impl Raw<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Environment(text) => Some(text.trim()),
            Self::File(value) => value.as_str(),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Environment(text) => text.trim().parse().ok(),
            Self::File(value) => value.as_integer(),
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Environment("true") => Some(true),
            Self::Environment("false") => Some(false),
            Self::Environment(_) => None,
            Self::File(value) => value.as_bool(),
        }
    }
}

pub(super) fn whole(raw: Raw<'_>, low: u32, high: u32) -> Result<u32, String> {
    raw.integer()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("a whole number from {low} to {high}"))
}

pub(super) fn switch(raw: Raw<'_>) -> Result<bool, String> {
    raw.boolean().ok_or_else(|| "true or false".to_owned())
}

/// An absolute path; an empty text is none.
pub(super) fn path(raw: Raw<'_>) -> Result<Option<PathBuf>, String> {
    let allowed = || "an absolute path in quotes, or \"\" for the usual place".to_owned();
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(allowed())
    }
}

pub(super) fn keep_alive(raw: Raw<'_>) -> Result<KeepAlive, String> {
    let allowed = || "a time such as \"10m\", 0 to unload at once, or -1 to keep models loaded".to_owned();
    let text = match (raw.integer(), raw.text()) {
        (Some(number), _) => number.to_string(),
        (None, Some(text)) => text.to_owned(),
        (None, None) => return Err(allowed()),
    };
    text.parse().map_err(|_| allowed())
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A number of bytes, with or without a unit, at least `low` unless it is 0 and `zero` allows that.
pub(super) fn bytes(raw: Raw<'_>, low: u64, zero: bool) -> Result<u64, String> {
    let allowed = || {
        let or = if zero { ", or 0 for none" } else { "" };
        format!("a number of bytes such as \"64MiB\" or \"2GB\", at least {low}{or}")
    };
    let number = match (raw.integer(), raw.text()) {
        (Some(number), _) => u64::try_from(number).ok(),
        (None, Some(text)) => sized(text),
        (None, None) => None,
    };
    number
        .filter(|&number| number >= low || (zero && number == 0))
        .ok_or_else(allowed)
}

fn sized(text: &str) -> Option<u64> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
        .unwrap_or((text, 1));
    digits.trim().parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn level(raw: Raw<'_>) -> Result<LogLevel, String> {
    raw.text()
        .and_then(|text| LogLevel::ALL.into_iter().find(|level| level.as_str() == text))
        .ok_or_else(|| "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned())
}
