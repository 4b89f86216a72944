//! How much of a device the program may use.

use std::fmt;
use std::str::FromStr;

use super::size::{display_bytes, parse_bytes};
use crate::error::Fault;

/// The least a budget may be unless it is nothing, bytes.
const SMALLEST: u64 = 1 << 20;

/// A ceiling for models and reservations on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many bytes, and never more than the device has.
    Bytes(u64),
    /// So much of what the device has, 0 to 100.
    Percent(u8),
}

impl Default for Budget {
    fn default() -> Self {
        Self::Percent(80)
    }
}

impl Budget {
    /// In bytes, of a device with `total` bytes.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.min(total),
            Self::Percent(percent) => {
                let share = u128::from(total) * u128::from(percent.min(100)) / 100;
                u64::try_from(share).unwrap_or(total)
            }
        }
    }
}

impl FromStr for Budget {
    type Err = Fault;

    /// `80%`, or a number of bytes such as `2GiB`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let percent = trimmed
            .strip_suffix('%')
            .map(|number| number.trim().parse::<u8>().ok().filter(|percent| *percent <= 100));
        match percent {
            Some(percent) => percent.map(Self::Percent),
            // "80" was meant to be "80%": nothing runs in less than this.
            None => parse_bytes(trimmed)
                .filter(|bytes| *bytes == 0 || *bytes >= SMALLEST)
                .map(Self::Bytes),
        }
        .ok_or_else(|| {
            Fault::invalid(format!(
                "\"{text}\" is not a memory budget: use a size such as \"2GiB\", or a share from \"0%\" to \"100%\""
            ))
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) if bytes.is_multiple_of(1 << 30) && *bytes > 0 => {
                write!(f, "{}GiB", bytes >> 30)
            }
            Self::Bytes(bytes) if bytes.is_multiple_of(1 << 20) && *bytes > 0 => {
                write!(f, "{}MiB", bytes >> 20)
            }
            Self::Bytes(bytes) => write!(f, "{bytes}"),
        }
    }
}

impl Budget {
    /// For a sentence: `80% (12.8 GiB)`.
    #[must_use]
    pub fn describe(self, total: u64) -> String {
        match self {
            Self::Percent(percent) => format!("{percent}% ({})", display_bytes(self.of(total))),
            Self::Bytes(_) => display_bytes(self.of(total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_sizes_and_shares() {
        for (text, budget) in [
            ("80%", Budget::Percent(80)),
            ("0%", Budget::Percent(0)),
            (" 100 % ", Budget::Percent(100)),
            ("2GiB", Budget::Bytes(2 << 30)),
            ("0", Budget::Bytes(0)),
        ] {
            assert_eq!(text.parse::<Budget>().unwrap(), budget, "{text}");
        }
        for text in [
            "", "200%", "-1%", "101%", "%", "much", "80", "1.5%", "2 gigs", "300000%",
        ] {
            assert!(text.parse::<Budget>().is_err(), "{text}");
        }
    }

    #[test]
    fn is_never_more_than_there_is() {
        assert_eq!(Budget::Bytes(10).of(4), 4);
        assert_eq!(Budget::Percent(80).of(1000), 800);
        assert_eq!(Budget::Percent(100).of(u64::MAX), u64::MAX);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(bytes in SMALLEST.., percent in 0..=100_u8, share in any::<bool>()) {
            let budget = if share { Budget::Percent(percent) } else { Budget::Bytes(bytes) };
            prop_assert_eq!(budget.to_string().parse::<Budget>().unwrap(), budget);
        }
    }
}
