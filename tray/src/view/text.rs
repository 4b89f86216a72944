//! Texts of strangers made fit for a menu, and figures as people write them.

use std::time::SystemTime;

pub(super) use airunner_core::amount::size;
use airunner_core::model::LoadProgress;
pub(super) use airunner_core::notification::clean;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Characters of a name in a menu; names have at most 128.
pub(super) const LONGEST_NAME: usize = 48;
/// Characters of a line of a text, and lines.
const LONGEST_LINE: usize = 72;
const MOST_LINES: usize = 4;

pub(super) fn name(name: &str) -> String {
    clean(name, LONGEST_NAME)
}

/// A text of a few sentences, one harmless line after the other, none of them long.
pub(super) fn lines(text: &str) -> Vec<String> {
    let text = clean(text, LONGEST_LINE * MOST_LINES);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let word = clean(word, LONGEST_LINE);
        let width = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + width <= LONGEST_LINE => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    if lines.len() > MOST_LINES {
        lines.truncate(MOST_LINES);
        if let Some(last) = lines.last_mut() {
            *last = clean(&format!("{last} …"), LONGEST_LINE);
        }
    }
    lines
}

/// The same of a text of the daemon, which begins a line anew where it wants to.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let begun = text.lines().filter(|line| !line.trim().is_empty());
    let mut all: Vec<String> = begun.take(MOST_LINES).flat_map(lines).collect();
    all.truncate(MOST_LINES);
    all
}

/// Whole percent; 100 only when everything is there.
pub(super) fn percent(done: u64, total: u64) -> Option<u64> {
    let hundredths = u128::from(done) * 100 / u128::from((total > 0).then_some(total)?);
    u64::try_from(hundredths.min(100)).ok()
}

pub(super) fn load_percent(progress: &LoadProgress) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 100 after the clamp, and what is no number becomes 0"
    )]
    let percent = (progress.fraction.clamp(0.0, 1.0) * 100.0) as u32;
    percent
}

/// Such as `14:32`.
pub(super) fn time_of_day(moment: SystemTime, zone: &TimeZone) -> Option<String> {
    let moment = Timestamp::try_from(moment).ok()?.to_zoned(zone.clone());
    Some(moment.strftime("%H:%M").to_string())
}

/// `1 request`, `3 requests`.
pub(super) fn count(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_harmless_line_that_is_not_too_long() {
        assert_eq!(name("owner/tiny"), "owner/tiny");
        assert_eq!(name("gpj.\u{202e}exe\n\u{1b}[2J"), "gpj.exe [2J");
        assert_eq!(name(&"x".repeat(128)).chars().count(), LONGEST_NAME);
    }

    #[test]
    fn a_text_is_broken_into_a_few_lines() {
        assert_eq!(lines("short and sweet"), ["short and sweet"]);
        let text = "word ".repeat(20) + "end";
        assert_eq!(
            lines(&text),
            ["word ".repeat(14).trim(), "word word word word word word end"]
        );
        assert_eq!(
            paragraphs("it ended\n\nOthers go on."),
            ["it ended", "Others go on."]
        );
        assert_eq!(paragraphs(&"line\n".repeat(9)).len(), MOST_LINES);
        for hostile in [
            "word ".repeat(100_000),
            "x".repeat(1 << 20),
            "\u{202e}\n".repeat(99),
            String::new(),
        ] {
            let lines = lines(&hostile);
            assert!(lines.len() <= MOST_LINES, "{lines:?}");
            assert!(
                lines.iter().all(|line| line.chars().count() <= LONGEST_LINE),
                "{lines:?}"
            );
        }
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(size(1023), "1023 B");
        assert_eq!(size(1_395_864_371), "1.2 GiB");
        assert_eq!(size(200 << 20), "200 MiB");
        assert_eq!(percent(1, 3), Some(33));
        assert_eq!(percent(999, 1000), Some(99));
        assert_eq!(percent(u64::MAX, u64::MAX - 1), Some(100));
        assert_eq!(percent(5, 0), None);
        assert_eq!(count(1, "request"), "1 request");
        assert_eq!(count(0, "request"), "0 requests");
    }

    #[test]
    fn progress_that_is_no_number_is_nothing() {
        let progress = |fraction| LoadProgress {
            fraction,
            ..LoadProgress::default()
        };
        for (fraction, expected) in [
            (0.0, 0),
            (0.434, 43),
            (1.0, 100),
            (7.0, 100),
            (-1.0, 0),
            (f32::NAN, 0),
        ] {
            assert_eq!(load_percent(&progress(fraction)), expected);
        }
    }
}
