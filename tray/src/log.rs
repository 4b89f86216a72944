//! The tray's own log: JSON lines in the state directory. Names of models and what the user
//! chose appear in it, and nothing of what models are told or say.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Mutex;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A longer one is put aside at the next start, in place of the one put aside before.
const LONGEST: u64 = 1 << 20;

/// From here on what is traced is written there. A log that cannot be written is no reason not
/// to show an icon.
pub(crate) fn start(file: &Path) {
    let Ok(file) = open(file) else { return };
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(Mutex::new(file));
    let wanted = Targets::new()
        .with_target("airunner", LevelFilter::INFO)
        .with_default(LevelFilter::WARN);
    // It fails if there is a log already, which then goes on.
    drop(
        tracing_subscriber::registry()
            .with(lines.with_filter(wanted))
            .try_init(),
    );
}

fn open(path: &Path) -> io::Result<File> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.len() > LONGEST) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_aside_once() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("airunner-tray.log");
        let aside = directory.path().join("airunner-tray.log.1");
        fs::write(&log, "short").unwrap();
        open(&log).unwrap();
        assert!(!aside.exists());
        fs::write(&log, vec![b'x'; 1 + LONGEST as usize]).unwrap();
        open(&log).unwrap();
        assert_eq!(fs::metadata(&log).unwrap().len(), 0);
        assert!(aside.exists());
    }
}
