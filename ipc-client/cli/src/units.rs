//! Sizes and times as people write them.

use std::time::{Duration, SystemTime};

use airunner_core::Fault;
pub(crate) use airunner_core::amount::size;
use airunner_core::download::{Download, DownloadState};
use airunner_core::model::Queued;
use jiff::Timestamp;

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

/// Such as `350 ms`, `1.2 s`, and then as [`duration`].
pub(crate) fn short_time(time: Duration) -> String {
    match time.as_millis() {
        0..1000 => format!("{} ms", time.as_millis()),
        1000..60_000 => format!("{}.{} s", time.as_secs(), time.subsec_millis() / 100),
        _ => duration(time),
    }
}

/// Such as `5.2 MiB/s`.
pub(crate) fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", size(bytes_per_second))
}

/// How fast a download is, if it runs.
pub(crate) fn download_speed(download: &Download) -> Option<String> {
    let runs = download.state == DownloadState::Running && download.bytes_per_second > 0;
    runs.then(|| speed(download.bytes_per_second))
}

/// How long a download will take, if that can be said: not of its first bytes.
pub(crate) fn download_remaining(download: &Download) -> Option<String> {
    const LONGEST: Duration = Duration::from_secs(7 * 86_400);
    let time = download.remaining().filter(|time| *time <= LONGEST)?;
    (download.state == DownloadState::Running).then(|| duration(time))
}

/// Such as `4 min ago`; `now` if it is less than a second.
pub(crate) fn since(moment: SystemTime, now: SystemTime) -> String {
    match now.duration_since(moment) {
        Ok(time) if time.as_secs() > 0 => format!("{} ago", duration(time)),
        Ok(_) | Err(_) => "now".to_owned(),
    }
}

/// Reads `90s`, `15m`, `12h`, `7d` or `2w`; a bare number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, Fault> {
    const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
    let trimmed = text.trim();
    let (digits, factor) = UNITS
        .into_iter()
        .find_map(|(unit, factor)| Some((trimmed.strip_suffix(unit)?, factor)))
        .unwrap_or((trimmed, 1));
    let number = digits.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            Fault::invalid(format!(
                "\"{text}\" is not a time: use a number with s, m, h, d or w such as 30s or 7d"
            ))
        })
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
    fn times_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("7d", 604_800),
            ("2w", 1_209_600),
            (" 5 ", 5),
            ("0", 0),
        ] {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_secs(seconds),
                "{text}"
            );
        }
        for text in [
            "",
            "d",
            "-1d",
            "1.5h",
            "1y",
            "99999999999999999999s",
            "9999999999999999999w",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn moments_are_long_and_short() {
        assert_eq!(short_time(Duration::from_millis(350)), "350 ms");
        assert_eq!(short_time(Duration::from_millis(1299)), "1.2 s");
        assert_eq!(short_time(Duration::from_secs(61)), "1 min");
        assert_eq!(speed(5 << 20), "5.0 MiB/s");
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(240);
        assert_eq!(since(SystemTime::UNIX_EPOCH, now), "4 min ago");
        assert_eq!(since(now, now + Duration::from_millis(900)), "now");
        assert_eq!(since(now, SystemTime::UNIX_EPOCH), "now");
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        assert_eq!(until(now + Duration::from_secs(240), now), "in 4 min");
        assert_eq!(until(now - Duration::from_secs(1), now), "now");
        assert_eq!(timestamp(now).as_deref(), Some("1970-01-01T00:16:40Z"));
    }
}
