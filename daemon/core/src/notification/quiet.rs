//! Hours in which nothing is shown.

use std::fmt;
use std::str::FromStr;

use crate::error::Fault;

const MINUTES_OF_DAY: u16 = 24 * 60;

/// From one time of day to another, over midnight if the end is before the beginning. The clock on
/// the wall decides, so that a day with a change of the clock needs no rule of its own: what the
/// clock skips is skipped, and what it shows twice counts twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuietHours {
    /// Minutes after midnight; never equal.
    from: u16,
    to: u16,
}

impl QuietHours {
    /// Whether the clock on the wall, in minutes after midnight, is within.
    #[must_use]
    pub const fn contains(self, minute_of_day: u16) -> bool {
        let minute = minute_of_day % MINUTES_OF_DAY;
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.from, self.to);
        write!(
            f,
            "{:02}:{:02}-{:02}:{:02}",
            from / 60,
            from % 60,
            to / 60,
            to % 60
        )
    }
}

impl FromStr for QuietHours {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let read = || {
            let (from, to) = text.split_once('-')?;
            let (from, to) = (minute(from.trim())?, minute(to.trim())?);
            (from != to).then_some(Self { from, to })
        };
        read().ok_or_else(|| {
            Fault::invalid(format!(
                "{text:?} are no quiet hours: write them as \"22:00-07:00\""
            ))
        })
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |text: &str, below: u16| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|number| plain && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(text: &str) -> QuietHours {
        text.parse().unwrap()
    }

    #[test]
    fn they_may_go_over_midnight() {
        for (range, inside, outside) in [
            (
                "22:00-07:00",
                vec!["22:00", "23:59", "00:00", "06:59"],
                vec!["07:00", "12:00", "21:59"],
            ),
            (
                "12:30-13:30",
                vec!["12:30", "13:29"],
                vec!["12:29", "13:30", "00:00"],
            ),
            ("00:00-23:59", vec!["00:00", "23:58"], vec!["23:59"]),
        ] {
            for time in inside {
                assert!(hours(range).contains(minute(time).unwrap()), "{range} {time}");
            }
            for time in outside {
                assert!(!hours(range).contains(minute(time).unwrap()), "{range} {time}");
            }
        }
    }

    #[test]
    fn what_is_no_range_of_times_is_refused() {
        for text in [
            "",
            "22:00",
            "22:00-",
            "22-7",
            "24:00-07:00",
            "22:60-07:00",
            "22:00-22:00",
            "+2:00-07:00",
            "022:00-07:00",
            "22:00-07:00-08:00",
            "٢٢:00-07:00",
        ] {
            assert!(text.parse::<QuietHours>().is_err(), "{text}");
        }
        assert_eq!(hours(" 22:00 - 7:05 ").to_string(), "22:00-07:05");
    }

    proptest! {
        /// Each minute belongs to the range or to its opposite, never to both.
        #[test]
        fn a_range_and_its_opposite_share_the_day(from in 0..MINUTES_OF_DAY, to in 0..MINUTES_OF_DAY, at in 0..MINUTES_OF_DAY) {
            prop_assume!(from != to);
            let (one, other) = (QuietHours { from, to }, QuietHours { from: to, to: from });
            prop_assert_ne!(one.contains(at), other.contains(at));
            prop_assert_eq!(one.to_string().parse::<QuietHours>().unwrap(), one);
        }
    }
}
