//! Being run by a service manager: what it hands over at the start and what it wants to be told.
//!
//! Only systemd does any of this; everywhere else there is nothing to take and nobody to tell.

use std::io;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};

use crate::endpoint::{Endpoint, Listener, Stale};
use crate::places::Places;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as os;

/// Variables that are meant for this process and none that it starts.
pub const ENDOWMENT: [&str; 8] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
];

/// What the manager is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Everything answers.
    Ready,
    /// One line for people.
    Status(String),
    /// Still well.
    Alive,
    /// It ends, and may take so long from now on.
    Stopping(Duration),
}

impl Notice {
    fn text(&self) -> String {
        match self {
            Self::Ready => "READY=1".to_owned(),
            Self::Status(line) => format!("STATUS={}", line.replace(['\n', '\r'], " ")),
            Self::Alive => "WATCHDOG=1".to_owned(),
            Self::Stopping(patience) => format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", patience.as_micros()),
        }
    }
}

/// The way to the manager that runs this process.
#[derive(Debug)]
pub struct Supervisor {
    manager: os::Manager,
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// `None` if nobody runs this process who wants to be told.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        let manager = os::Manager::of_process()?;
        let watchdog = os::watchdog();
        Some(Self { manager, watchdog })
    }

    /// The manager ends this process if it hears nothing for so long.
    #[must_use]
    pub const fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Never waits. A manager that does not listen is its own problem.
    pub fn tell(&self, notice: &Notice) {
        if let Err(error) = self.manager.send(notice.text().as_bytes()) {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

/// The daemon's listener: the one the manager listens with and hands over, or else one of this
/// process. Only for whoever holds the instance lock.
pub fn listen(places: &Places) -> Result<Listener, Fault> {
    let endpoint = Endpoint::of_daemon(places);
    let inherited = os::inherited(&places.socket())
        .map_err(|error| Fault::internal(format!("cannot use the socket of the service manager: {error}")))?;
    if let Some(inherited) = inherited {
        return Ok(Listener::inherited(endpoint, inherited)?);
    }
    if os::is_listened_on(&places.socket()) {
        return Err(held(&endpoint));
    }
    Ok(Listener::bind(endpoint, Stale::Replace)?)
}

/// Taking its socket away from a manager would leave it listening where nobody can connect.
fn held(endpoint: &Endpoint) -> Fault {
    Fault::new(
        ErrorKind::AlreadyExists,
        format!(
            "the service manager listens on {endpoint} and starts AI Runner there: use \"airunner start\", or first end \
             that with \"airunner stop\""
        ),
    )
}

/// Sends entries to the system's journal.
#[derive(Debug)]
pub struct Journal(os::Journal);

impl Journal {
    /// `None` unless what this process writes to standard error goes to the journal.
    #[must_use]
    pub fn of_process() -> Option<Self> {
        os::Journal::of_process().map(Self)
    }

    /// One entry in the journal's own form.
    pub fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.0.send(entry)
    }
}

/// Puts a field of an entry into the journal's own form.
pub fn journal_field(entry: &mut Vec<u8>, name: &str, value: &str) {
    let value = value.as_bytes();
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_lines_and_stay_lines() {
        for (notice, expected) in [
            (Notice::Ready, "READY=1"),
            (Notice::Alive, "WATCHDOG=1"),
            (Notice::Status("a\nREADY=1".to_owned()), "STATUS=a READY=1"),
            (
                Notice::Stopping(Duration::from_secs(2)),
                "STOPPING=1\nEXTEND_TIMEOUT_USEC=2000000",
            ),
        ] {
            assert_eq!(notice.text(), expected);
        }
    }

    #[test]
    fn a_value_of_several_lines_cannot_become_a_field() {
        let mut entry = Vec::new();
        journal_field(&mut entry, "MESSAGE", "one");
        journal_field(&mut entry, "MODEL", "a\nPRIORITY=0");
        assert_eq!(entry, b"MESSAGE=one\nMODEL\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=0\n");
    }
}
