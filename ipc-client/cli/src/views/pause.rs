//! A pause.

use std::time::{Duration, SystemTime};

use airunner_core::pause::{Pause, Paused};
use serde::Serialize;

use crate::units;

/// A pause, for scripts.
#[derive(Debug, Serialize)]
pub(crate) struct PauseView {
    since: Option<String>,
    /// `null`: only `airunner resume` ends it.
    until: Option<String>,
}

impl From<&Pause> for PauseView {
    fn from(pause: &Pause) -> Self {
        Self {
            since: units::timestamp(pause.since),
            until: pause.until.and_then(units::timestamp),
        }
    }
}

/// `airunner pause`.
#[derive(Debug, Serialize)]
pub(crate) struct PausedView {
    paused: PauseView,
    unloaded: Vec<String>,
    freed_bytes: u64,
    finishing: Vec<String>,
}

impl From<&Paused> for PausedView {
    fn from(paused: &Paused) -> Self {
        let texts = |names: &[airunner_core::ModelName]| names.iter().map(ToString::to_string).collect();
        Self {
            paused: (&paused.pause).into(),
            unloaded: texts(&paused.unloaded),
            freed_bytes: paused.freed_bytes,
            finishing: texts(&paused.finishing),
        }
    }
}

/// For a person.
pub(crate) fn pause_line(pause: &Pause, now: SystemTime) -> String {
    match pause.remaining(now) {
        Some(left) => format!(
            "Paused for another {}: nothing is loaded or run. `airunner resume` ends it.",
            units::duration(rounded(left))
        ),
        None => "Paused: nothing is loaded or run until `airunner resume`.".to_owned(),
    }
}

/// Up to whole minutes, so that a pause of an hour does not begin with 59.
fn rounded(left: Duration) -> Duration {
    match left.as_secs() {
        0..60 => left,
        seconds => Duration::from_secs(seconds.saturating_add(59) / 60 * 60),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    #[test]
    fn a_pause_says_how_it_ends() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(86_400);
        let open = Pause::begin(None, now);
        assert!(pause_line(&open, now).contains("until `airunner resume`"));
        assert_eq!(
            value(&PauseView::from(&open)),
            json!({ "since": "1970-01-02T00:00:00Z", "until": null })
        );
        let short = Pause::begin(Some(Duration::from_secs(7200)), now);
        let a_moment_later = now + Duration::from_secs(3);
        for (now, said) in [
            (now, "2 h:"),
            (a_moment_later, "2 h:"),
            (now + Duration::from_secs(7170), "30 s:"),
        ] {
            let line = pause_line(&short, now);
            assert!(line.contains(said), "{line}");
        }
    }
}
