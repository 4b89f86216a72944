//! How long a model stays loaded after its last request.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Fault;

/// How long a model stays loaded, counted from the *end* of its last request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAlive {
    /// This long; zero unloads at once.
    After(Duration),
    /// Until somebody asks for the unload.
    Forever,
}

impl Default for KeepAlive {
    fn default() -> Self {
        Self::After(Duration::from_secs(300))
    }
}

const UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

impl FromStr for KeepAlive {
    type Err = Fault;

    /// `-1` is for ever, `0` at once; otherwise a number and a unit (`ms`, `s`, `m`, `h`), or
    /// several (`1h30m`); a bare number is seconds.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || {
            Fault::invalid(format!(
                "\"{text}\" is not a keep-alive time: use a number with ms, s, m or h such as 10m, \
                 0 to unload at once, or -1 to keep the model loaded"
            ))
        };
        let trimmed = text.trim();
        if trimmed == "-1" {
            return Ok(Self::Forever);
        }
        if let Ok(seconds) = trimmed.parse::<u64>() {
            return Ok(Self::After(Duration::from_secs(seconds)));
        }
        let mut rest = trimmed;
        let mut total_ms = 0_u64;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, after) = tail.split_at(unit_end);
            let (_, factor) = UNITS
                .into_iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(bad)?;
            let number: u64 = number.parse().map_err(|_| bad())?;
            total_ms = number
                .checked_mul(factor)
                .and_then(|ms| total_ms.checked_add(ms))
                .ok_or_else(bad)?;
            rest = after;
        }
        if trimmed.is_empty() {
            Err(bad())
        } else {
            Ok(Self::After(Duration::from_millis(total_ms)))
        }
    }
}

impl fmt::Display for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::After(time) = self else {
            return f.write_str("-1");
        };
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if ms == 0 {
            return f.write_str("0");
        }
        let (name, factor) = UNITS
            .into_iter()
            .rev()
            .find(|(_, f)| ms.is_multiple_of(*f))
            .unwrap_or(UNITS[0]);
        write!(f, "{}{name}", ms / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_write() {
        let after = |ms| KeepAlive::After(Duration::from_millis(ms));
        for (text, expected) in [
            ("-1", KeepAlive::Forever),
            ("0", after(0)),
            ("10m", after(600_000)),
            ("1h30m", after(5_400_000)),
            ("250ms", after(250)),
            (" 45 ", after(45_000)),
            ("0s", after(0)),
        ] {
            assert_eq!(text.parse::<KeepAlive>().unwrap(), expected, "{text}");
        }
        for text in [
            "",
            "m",
            "-2",
            "10 m",
            "10x",
            "1.5h",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(text.parse::<KeepAlive>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..u64::MAX / 2) {
            let value = KeepAlive::After(Duration::from_millis(ms));
            prop_assert_eq!(value.to_string().parse::<KeepAlive>().unwrap(), value);
        }

        #[test]
        fn no_text_panics(text in ".*") {
            let _ = text.parse::<KeepAlive>();
        }
    }
}
