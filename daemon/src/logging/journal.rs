//! Entries of the system's journal: the message and each field by its name, so that
//! `journalctl MODEL=...` finds them.
//!
//! What the journal is told is what the file is told. Lines that had to be dropped are counted
//! as for the file.

use std::fmt::{self, Write as _};
use std::io::{self, Write as _};

use airunner_platform::supervision::{Journal, journal_field};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::Context;

use super::background::{Background, Sink};

/// What is longer would need another way to the journal.
const LONGEST_VALUE: usize = 32 << 10;
/// Names that the journal and its readers know as their own.
const RESERVED: [&str; 6] = [
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "TARGET",
    "CODE_FILE",
    "CODE_LINE",
];
const IDENTIFIER: &str = "airunnerd";

/// Where entries are sent, by a thread of its own.
pub(super) struct Socket(pub(super) Journal);

impl Sink for Socket {
    fn line(&mut self, entry: &[u8]) -> io::Result<()> {
        if entry.starts_with(b"{") {
            // A notice of lost lines, in the form of the file.
            let mut wrapped = Vec::new();
            journal_field(&mut wrapped, "PRIORITY", "4");
            journal_field(&mut wrapped, "MESSAGE", String::from_utf8_lossy(entry).trim());
            return self.0.send(&wrapped);
        }
        self.0.send(entry)
    }
}

/// Makes entries of events.
pub(super) struct Layer(Background);

impl Layer {
    pub(super) const fn new(writer: Background) -> Self {
        Self(writer)
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Layer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut writer = self.0.clone();
        // It takes everything, and counts what it has to drop.
        drop(writer.write_all(&entry(event)));
    }
}

fn entry(event: &Event<'_>) -> Vec<u8> {
    let metadata = event.metadata();
    let mut entry = Entry(Vec::with_capacity(256));
    entry.put("PRIORITY", priority(*metadata.level()));
    entry.put("SYSLOG_IDENTIFIER", IDENTIFIER);
    entry.put("TARGET", metadata.target());
    event.record(&mut entry);
    entry.0
}

/// The levels of syslog.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

struct Entry(Vec<u8>);

impl Entry {
    fn put(&mut self, name: &str, value: &str) {
        let mut end = value.len().min(LONGEST_VALUE);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        journal_field(&mut self.0, name, &value[..end]);
    }

    fn field(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.put("MESSAGE", value),
            name => {
                if let Some(name) = journal_name(name) {
                    self.put(&name, value);
                }
            }
        }
    }
}

/// As the journal wants names: capitals, digits and underscores, beginning with a capital. The
/// few that mean something else there are set apart.
fn journal_name(name: &str) -> Option<String> {
    let allowed = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(allowed).collect();
    let name = name.trim_start_matches(|c: char| c == '_' || c.is_ascii_digit());
    match name {
        "" => None,
        name if RESERVED.contains(&name) => Some(format!("F_{name}")),
        name => Some(name.get(..64).unwrap_or(name).to_owned()),
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        if write!(text, "{value:?}").is_ok() {
            self.field(field, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, MutexGuard};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Memory {
        fn entries(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
            self.0.lock().unwrap()
        }
    }

    impl Sink for Memory {
        fn line(&mut self, line: &[u8]) -> io::Result<()> {
            self.entries().push(line.to_vec());
            Ok(())
        }
    }

    #[test]
    fn an_event_becomes_fields_that_can_be_searched() {
        let memory = Memory::default();
        let (writer, guard) = Background::start("test", memory.clone());
        let subscriber = tracing_subscriber::registry().with(Layer::new(writer));
        tracing::subscriber::with_default(subscriber, || {
            let reason: Option<&str> = None;
            tracing::warn!(model = %"tiny", event = "model_state", pid = 7, reason, message = "a\nb", priority = 1);
        });
        drop(guard);
        let entries = memory.entries().clone();
        let entry = String::from_utf8(entries[0].clone()).unwrap();
        for field in [
            "PRIORITY=4\n",
            "SYSLOG_IDENTIFIER=airunnerd\n",
            "MODEL=tiny\n",
            "EVENT=model_state\n",
            "PID=7\n",
            "F_PRIORITY=1\n",
            "MESSAGE\n\u{3}\0\0\0\0\0\0\0a\nb\n",
        ] {
            assert!(entry.contains(field), "{field}: {entry}");
        }
        assert!(!entry.contains("REASON"), "what is not there is not told");
    }

    #[test]
    fn names_are_those_of_the_journal_and_long_values_are_cut() {
        for (name, expected) in [
            ("http.status", Some("HTTP_STATUS")),
            ("_pid", Some("PID")),
            ("2x", Some("X")),
            ("target", Some("F_TARGET")),
            ("__", None),
        ] {
            assert_eq!(journal_name(name).as_deref(), expected);
        }
        let mut entry = Entry(Vec::new());
        entry.put("MESSAGE", &"ä".repeat(LONGEST_VALUE));
        assert!(entry.0.len() <= LONGEST_VALUE + 16);
        assert!(String::from_utf8(entry.0).is_ok());
    }
}
