//! Dates as RFC 3339 writes them.

use std::time::SystemTime;

use jiff::Timestamp;

pub(in super::super) fn now() -> String {
    Timestamp::now().to_string()
}

pub(in super::super) fn text(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// Further away than anybody lives: what is kept for ever goes then.
pub(super) const NEVER: &str = "2300-01-01T00:00:00Z";
