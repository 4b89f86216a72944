//! The log: one JSON object per line in a file that is rotated, for people on the terminal, and
//! with its fields in the system's journal when that is where standard error goes.
//!
//! Lines are written by a thread of their own. When it cannot keep up, or the disk is full, lines
//! are dropped and counted: logging never blocks the daemon and never ends it. Prompts, replies
//! and file contents are not logged.

mod background;
mod journal;
mod rotate;

use std::io::{self, Write as _};
use std::path::Path;

use airunner_platform::supervision::Journal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::config::{LogLevel, LogSettings};
use background::{Background, Guard, Sink};
use rotate::RotatingFile;

/// Writes what is still waiting when dropped.
#[must_use = "dropping it ends the log"]
pub struct Log(#[expect(dead_code, reason = "held for its drop")] Vec<Guard>);

/// Logs to a file, to the journal if standard error goes there, and otherwise for a person on
/// standard error if `foreground`. Once per process.
pub fn start(settings: &LogSettings, file: &Path, foreground: bool) -> Result<Log, TryInitError> {
    let rotating = RotatingFile::new(file.to_path_buf(), settings.max_bytes, settings.max_files);
    let (writer, guard) = Background::start("log", rotating);
    let mut guards = vec![guard];
    let to_file = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(writer);
    let journal = Journal::of_process();
    let to_terminal = (foreground && journal.is_none()).then(|| {
        let (writer, guard) = Background::start("log-terminal", StandardError);
        guards.push(guard);
        let colours = io::IsTerminal::is_terminal(&io::stderr());
        tracing_subscriber::fmt::layer()
            .with_ansi(colours)
            .with_target(false)
            .with_writer(writer)
    });
    let to_journal = journal.map(|journal| {
        let (writer, guard) = Background::start("log-journal", journal::Socket(journal));
        guards.push(guard);
        journal::Layer::new(writer)
    });
    let filter = filter(settings.level);
    let layers = to_file.and_then(to_terminal).and_then(to_journal);
    tracing_subscriber::registry()
        .with(layers.with_filter(filter))
        .try_init()?;
    log_panics();
    Ok(Log(guards))
}

/// Logs JSON lines to standard error, for the parent to read. Once per process.
pub fn start_in_worker(level: LogLevel) -> Result<Log, TryInitError> {
    let (writer, guard) = Background::start("log", StandardError);
    let layer = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(writer);
    tracing_subscriber::registry()
        .with(layer.with_filter(filter(level)))
        .try_init()?;
    log_panics();
    Ok(Log(vec![guard]))
}

/// This program's own targets at the chosen level, the libraries' from WARN.
fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("airunner", level)
}

/// A panic goes to the log as well: a daemon has no terminal to say it on.
fn log_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, "a defect of this program: {message}");
        before(panic);
    }));
}

struct StandardError;

impl Sink for StandardError {
    fn line(&mut self, line: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(line)
    }
}
