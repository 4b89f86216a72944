//! What a notification is about.

use std::fmt;
use std::time::Duration;

const MINUTES: Duration = Duration::from_secs(10 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NotificationKind {
    /// A model is in memory, after somebody waited long for it.
    ModelLoaded,
    /// A long download is complete.
    DownloadFinished,
    /// A download stopped and will not go on by itself.
    DownloadFailed,
    /// A model had to leave because the machine ran short of memory.
    MemoryPressureUnloaded,
    /// The process of a model died.
    WorkerCrashed,
    /// Long work is done.
    JobFinished,
    JobFailed,
    /// What somebody asked for by a click could not be done.
    ActionFailed,
    /// Several others at once.
    Summary,
    /// Whether AI Runner is to start at login; asked once, by the tray itself.
    StartAtLogin,
    /// Somebody wants to see whether notifications arrive.
    Test,
}

impl NotificationKind {
    pub const ALL: [Self; 11] = [
        Self::ModelLoaded,
        Self::DownloadFinished,
        Self::DownloadFailed,
        Self::MemoryPressureUnloaded,
        Self::WorkerCrashed,
        Self::JobFinished,
        Self::JobFailed,
        Self::ActionFailed,
        Self::Summary,
        Self::StartAtLogin,
        Self::Test,
    ];

    /// Name, how long it is worth showing, whether it stays on the screen until it is answered,
    /// and whether it can be switched off: the one table.
    const fn row(self) -> (&'static str, Duration, bool, bool) {
        match self {
            Self::ModelLoaded => ("model_loaded", HOUR, false, true),
            Self::DownloadFinished => ("download_finished", WEEK, false, true),
            Self::DownloadFailed => ("download_failed", WEEK, true, true),
            Self::MemoryPressureUnloaded => ("memory_pressure_unloaded", DAY, false, true),
            Self::WorkerCrashed => ("worker_crashed", WEEK, true, true),
            Self::JobFinished => ("job_finished", WEEK, false, true),
            Self::JobFailed => ("job_failed", WEEK, true, true),
            Self::ActionFailed => ("action_failed", DAY, true, false),
            Self::Summary => ("summary", WEEK, true, false),
            Self::StartAtLogin => ("start_at_login", WEEK, true, false),
            Self::Test => ("test", MINUTES, false, false),
        }
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// How long after it happened it is worth showing, unless a deadline says otherwise.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        self.row().1
    }

    /// True if it stays on the screen until somebody answers it.
    #[must_use]
    pub const fn stays(self) -> bool {
        self.row().2
    }

    /// True if a setting can switch it off; the others answer what somebody just did.
    #[must_use]
    pub const fn can_be_switched_off(self) -> bool {
        self.row().3
    }
}

impl fmt::Display for NotificationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_from_its_text() {
        for kind in NotificationKind::ALL {
            assert_eq!(NotificationKind::parse(kind.as_str()), Some(kind));
            assert!(!kind.lifetime().is_zero());
        }
        assert_eq!(NotificationKind::parse("gossip"), None);
    }
}
