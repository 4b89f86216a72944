//! The time of day, which may jump.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// What the clocks of the machine say.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> SystemTime;

    /// Of the clock on the wall, in minutes after midnight.
    fn minute_of_day(&self) -> u16;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn minute_of_day(&self) -> u16 {
        // Asked anew each time: who travels changes it while the daemon runs.
        minute_of_day(self.now(), &TimeZone::system())
    }
}

pub(super) fn minute_of_day(at: SystemTime, zone: &TimeZone) -> u16 {
    let at = Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH);
    let time = at.to_zoned(zone.clone()).time();
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use airunner_core::notification::QuietHours;

    use super::*;

    #[test]
    fn quiet_hours_follow_the_clock_on_the_wall_also_when_it_is_changed() {
        // Berlin, without asking the machine for its rules.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let quiet = |hours: &str, at: &str| {
            let hours: QuietHours = hours.parse().unwrap();
            let at: Timestamp = at.parse().unwrap();
            hours.contains(minute_of_day(at.into(), &zone))
        };
        for (hours, at, is_quiet) in [
            // 02:00 becomes 03:00 at 01:00 UTC: what the clock skips is over at once.
            ("02:00-03:00", "2026-03-29T00:59:59Z", false),
            ("02:00-03:00", "2026-03-29T01:00:00Z", false),
            ("22:00-02:30", "2026-03-29T00:59:59Z", true),
            ("22:00-02:30", "2026-03-29T01:00:00Z", false),
            // 03:00 becomes 02:00 at 01:00 UTC: what the clock shows twice is quiet twice.
            ("02:00-03:00", "2026-10-25T00:30:00Z", true),
            ("02:00-03:00", "2026-10-25T01:30:00Z", true),
            ("02:00-03:00", "2026-10-25T02:00:00Z", false),
            ("22:00-07:00", "2026-07-01T04:59:59Z", true),
            ("22:00-07:00", "2026-07-01T05:00:00Z", false),
            ("22:00-07:00", "2026-01-01T05:59:59Z", true),
        ] {
            assert_eq!(quiet(hours, at), is_quiet, "{hours} at {at}");
        }
    }
}
