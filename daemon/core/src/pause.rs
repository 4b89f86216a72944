//! A pause: for a while nothing is loaded or run, because somebody wants the machine for
//! something else.

use std::time::{Duration, SystemTime};

use crate::error::{ErrorKind, Fault};
use crate::name::ModelName;

/// The longest pause with an end.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// How somebody wants it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PauseRequest {
    /// `None`: until somebody resumes.
    pub length: Option<Duration>,
    /// Requests that are being answered are cancelled instead of finished.
    pub force: bool,
}

impl PauseRequest {
    /// Refuses a pause that would be over at once, or never as far as anybody can tell.
    pub fn check(&self) -> Result<(), Fault> {
        match self.length {
            Some(length) if length < Duration::from_secs(1) => {
                Err(Fault::invalid("a pause has at least one second"))
            }
            Some(length) if length > LONGEST => Err(Fault::invalid(
                "a pause with an end has at most a year: leave the time out to pause until somebody resumes",
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// A pause that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    pub since: SystemTime,
    /// `None`: until somebody resumes.
    pub until: Option<SystemTime>,
}

impl Pause {
    /// One that begins now. A length that no clock can count has no end.
    #[must_use]
    pub fn begin(length: Option<Duration>, now: SystemTime) -> Self {
        Self {
            since: now,
            until: length.and_then(|length| now.checked_add(length)),
        }
    }

    /// How long it still takes: zero if it is over, `None` if it has no end. A clock that was set
    /// back makes it no longer than it was meant to be.
    #[must_use]
    pub fn remaining(&self, now: SystemTime) -> Option<Duration> {
        let until = self.until?;
        let left = |from| until.duration_since(from).unwrap_or_default();
        Some(left(now).min(left(self.since)))
    }

    #[must_use]
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.remaining(now).is_some_and(|left| left.is_zero())
    }

    /// What whoever wants a model is told.
    #[must_use]
    pub fn refusal(&self, now: SystemTime) -> Fault {
        let Some(left) = self.remaining(now) else {
            return Fault::new(
                ErrorKind::Paused,
                "AI Runner is paused until somebody resumes it: \"airunner resume\" does",
            );
        };
        // A caller that comes back exactly then must not be too early.
        let left = Duration::from_secs(left.as_secs().saturating_add(1));
        Fault::new(
            ErrorKind::Paused,
            format!(
                "AI Runner is paused for another {}: \"airunner resume\" ends that",
                words(left)
            ),
        )
        .retry_after(left)
    }
}

/// What a pause did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub pause: Pause,
    /// Models whose memory is back.
    pub unloaded: Vec<ModelName>,
    /// What they had, bytes.
    pub freed_bytes: u64,
    /// Models that finish what they were asked before, and are unloaded then.
    pub finishing: Vec<ModelName>,
}

/// A time in the unit a person would use.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds.div_ceil(60)),
        7_200..=172_799 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} days", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn at(number: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + seconds(number)
    }

    #[test]
    fn it_ends_when_its_time_is_over_and_not_before() {
        let pause = Pause::begin(Some(seconds(60)), at(1000));
        for (now, left, over) in [
            (1000, 60, false),
            (1059, 1, false),
            (1060, 0, true),
            (9999, 0, true),
        ] {
            assert_eq!(pause.remaining(at(now)), Some(seconds(left)), "{now}");
            assert_eq!(pause.is_over(at(now)), over, "{now}");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_make_it_longer() {
        let pause = Pause::begin(Some(seconds(60)), at(1000));
        assert_eq!(pause.remaining(at(5)), Some(seconds(60)));
    }

    #[test]
    fn without_an_end_it_stays() {
        let pause = Pause::begin(None, at(1000));
        assert_eq!(
            (pause.remaining(at(u32::MAX.into())), pause.is_over(at(0))),
            (None, false)
        );
        let refusal = pause.refusal(at(2000));
        assert_eq!((refusal.kind, refusal.retry_after), (ErrorKind::Paused, None));
        assert!(refusal.message.contains("airunner resume"), "{refusal}");
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        for (length, said) in [
            (30, "31 s"),
            (3_599, "60 min"),
            (7_200, "3 h"),
            (7 * 86_400 - 1, "7 days"),
        ] {
            let refusal = Pause::begin(Some(seconds(length)), at(1000)).refusal(at(1000));
            assert!(refusal.message.contains(said), "{refusal}");
            assert_eq!(refusal.retry_after, Some(seconds(length + 1)));
        }
    }

    #[test]
    fn a_length_that_makes_no_sense_is_refused() {
        let of = |length| PauseRequest { length, force: false }.check();
        for length in [None, Some(seconds(1)), Some(LONGEST)] {
            assert!(of(length).is_ok(), "{length:?}");
        }
        for length in [
            Duration::ZERO,
            Duration::from_millis(999),
            LONGEST + seconds(1),
            Duration::MAX,
        ] {
            assert_eq!(of(Some(length)).unwrap_err().kind, ErrorKind::InvalidArgument);
        }
        assert_eq!(Pause::begin(Some(Duration::MAX), at(0)).until, None);
    }
}
