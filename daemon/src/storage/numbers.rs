//! Numbers as SQLite keeps them: signed, 64 bits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What somebody else wrote may be negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

pub(super) fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(unsigned(milliseconds))
}

/// Milliseconds since 1970; a clock that is set before that counts as then.
pub(super) fn moment(time: SystemTime) -> i64 {
    milliseconds(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn time(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(duration(milliseconds))
        .unwrap_or(UNIX_EPOCH)
}

/// Days since 1970, UTC.
pub(super) fn day(time: SystemTime) -> i64 {
    moment(time) / (24 * 60 * 60 * 1000)
}
