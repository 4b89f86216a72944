//! Sizes and times as people write them.

use std::time::{Duration, SystemTime};

use airunner_core::model::Queued;
use jiff::Timestamp;

/// Such as `512 B`, `5.2 MiB`, `1.3 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [(&str, u64); 4] = [
        ("TiB", 1 << 40),
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
    ];
    let Some((unit, factor)) = UNITS.into_iter().find(|(_, factor)| bytes >= *factor) else {
        return format!("{bytes} B");
    };
    // One decimal, in whole numbers so that no size is too large to be exact.
    let tenths = u128::from(bytes) * 10 / u128::from(factor);
    if tenths >= 1000 {
        format!("{} {unit}", tenths / 10)
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// Such as `40 s`, `5 min`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) if minutes % 60 == 0 => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (days, hours, _) if hours % 24 == 0 => format!("{days} d"),
        (days, hours, _) => format!("{days} d {} h", hours % 24),
    }
}

/// Such as `in 4 min`; `now` if it is past.
pub(crate) fn until(moment: SystemTime, now: SystemTime) -> String {
    match moment.duration_since(now) {
        Ok(wait) if !wait.is_zero() => format!("in {}", duration(wait)),
        Ok(_) | Err(_) => "now".to_owned(),
    }
}

/// Such as `waiting, 2 before this one, about 30 s (3.2 GiB are needed: qwen is in use)`.
pub(crate) fn waiting(queued: &Queued) -> String {
    let mut text = "waiting".to_owned();
    if queued.position > 0 {
        text += &format!(", {} before this one", queued.position);
    }
    if let Some(wait) = queued.estimated_wait {
        text += &format!(", about {}", duration(wait));
    }
    if !queued.reason.is_empty() {
        text += &format!(" ({})", queued.reason);
    }
    text
}

/// RFC 3339 in UTC; `None` if no calendar reaches that far.
pub(crate) fn timestamp(moment: SystemTime) -> Option<String> {
    Timestamp::try_from(moment).ok().map(|moment| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (5 << 20, "5.0 MiB"),
            (200 << 20, "200 MiB"),
            (1_395_864_371, "1.2 GiB"),
            (u64::MAX, "16777215 TiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn times_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (86_400, "1 d"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn a_wait_is_told_as_far_as_it_is_known() {
        let mut queued = Queued::default();
        assert_eq!(waiting(&queued), "waiting");
        queued.position = 2;
        queued.reason = "qwen is in use".into();
        assert_eq!(waiting(&queued), "waiting, 2 before this one (qwen is in use)");
        queued.position = 0;
        queued.estimated_wait = Some(Duration::from_secs(30));
        assert_eq!(waiting(&queued), "waiting, about 30 s (qwen is in use)");
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(until(now + Duration::from_secs(240), now), "in 4 min");
        assert_eq!(until(now - Duration::from_secs(1), now), "now");
        assert_eq!(timestamp(now).as_deref(), Some("1970-01-01T00:16:40Z"));
    }
}
