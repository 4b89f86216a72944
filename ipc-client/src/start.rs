//! Finding the daemon and starting it if it is not running.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};
use airunner_platform::service::Service;
use airunner_platform::{Detached, Endpoint, Installation, Places, exit};

use crate::{Client, log_line, wait_for_end};

const PROGRAM: &str = "airunnerd";
const PATIENCE: Duration = Duration::from_secs(30);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Log lines shown when the daemon died at its start without a word of its own.
const SHOWN_LINES: usize = 5;
const SHOWN_BYTES: u64 = 64 << 10;

/// Whether a daemon had to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaemonWas {
    /// It ran before.
    Running,
    /// It runs since this call.
    Started,
}

/// Starts the daemon. It goes on running when this program ends.
#[derive(Clone, Debug)]
pub struct Starter {
    places: Places,
    program: PathBuf,
    /// An installed service starts it, instead of this program.
    by_service: bool,
}

impl Starter {
    /// For the daemon of this user's environment: `airunnerd` beside the running program, or
    /// else on the path.
    pub fn from_environment() -> Result<Self, Fault> {
        let beside = Installation::locate().map(|installation| installation.program(PROGRAM));
        let program = beside
            .ok()
            .filter(|program| program.is_file())
            .unwrap_or_else(|| PROGRAM.into());
        Ok(Self {
            places: Places::from_environment()?,
            program,
            by_service: true,
        })
    }

    /// Starts this executable instead, past an installed service.
    #[must_use]
    pub fn program(mut self, program: PathBuf) -> Self {
        self.program = program;
        self.by_service = false;
        self
    }

    /// The executable that is started.
    #[must_use]
    pub fn executable(&self) -> &Path {
        &self.program
    }

    /// Where this user's daemon keeps its things.
    #[must_use]
    pub const fn places(&self) -> &Places {
        &self.places
    }

    /// Connects to the daemon and starts it before that if it is not running. A daemon that is
    /// just ending is waited for.
    ///
    /// If it cannot be started the error holds what it said, or the last lines of its log.
    pub async fn connect_or_start(&self) -> Result<(Client, DaemonWas), Fault> {
        let endpoint = Endpoint::of_daemon(&self.places);
        match Client::connect(&endpoint).await {
            Ok(client) => match client.control().status().await {
                Ok(status) if !status.shutting_down => return Ok((client, DaemonWas::Running)),
                Ok(_) | Err(_) => within_patience(wait_for_end(client.hello().pid)).await?,
            },
            Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {}
            Err(fault) => return Err(fault),
        }
        let client = self.start(&endpoint).await?;
        Ok((client, DaemonWas::Started))
    }

    /// Through the service manager if the service is installed: then it also ends and restarts it.
    async fn start(&self, endpoint: &Endpoint) -> Result<Client, Fault> {
        match self.service().await? {
            Some(service) => self.start_service(&service, endpoint).await,
            None => self.start_process(endpoint).await,
        }
    }

    /// The installed service of these places.
    async fn service(&self) -> Result<Option<Service>, Fault> {
        let Some(service) = Service::of_this_user().ok().filter(|_| self.by_service) else {
            return Ok(None);
        };
        let mine = service.surroundings().places == self.places;
        let installed = mine && service.installed().await?.is_some();
        Ok(Some(service).filter(|_| installed))
    }

    async fn start_service(&self, service: &Service, endpoint: &Endpoint) -> Result<Client, Fault> {
        let log = self.places.log_file();
        let log_before = length(&log);
        if let Err(fault) = service.start().await.map_err(Fault::from) {
            let words = last_words(&log, log_before);
            let message = format!("{}; the log says: {words}", fault.message);
            return Err(if words.is_empty() {
                fault
            } else {
                Fault::new(fault.kind, message)
            });
        }
        let mut pause = FIRST_PAUSE;
        within_patience(async {
            loop {
                match Client::connect(endpoint).await {
                    Err(fault) if fault.kind == ErrorKind::DaemonNotRunning => {}
                    answer => return answer,
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        })
        .await?
    }

    async fn start_process(&self, endpoint: &Endpoint) -> Result<Client, Fault> {
        let log = self.places.log_file();
        let log_before = length(&log);
        let no_arguments: [&str; 0] = [];
        let mut daemon = Detached::start(&self.program, no_arguments).map_err(|error| {
            let program = self.program.display();
            Fault::new(
                ErrorKind::NotFound,
                format!("cannot start {program}: {error}; is AI Runner installed?"),
            )
        })?;
        let mut pause = FIRST_PAUSE;
        let answers = async {
            loop {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                let fault = match Client::connect(endpoint).await {
                    Ok(client) => return Ok(client),
                    Err(fault) => fault,
                };
                if fault.kind != ErrorKind::DaemonNotRunning {
                    return Err(fault);
                }
                let exit = daemon
                    .early_exit()
                    .map_err(|error| Fault::internal(error::chain(&error)))?;
                let Some(exit) = exit else { continue };
                // Somebody else's start may have been faster; then that daemon answers.
                return match Client::connect(endpoint).await {
                    Ok(client) => Ok(client),
                    Err(_) => Err(died(&exit, &last_words(&log, log_before))),
                };
            }
        };
        within_patience(answers).await?
    }
}

async fn within_patience<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    tokio::time::timeout(PATIENCE, future).await.map_err(|_| {
        let seconds = PATIENCE.as_secs();
        Fault::new(
            ErrorKind::DeadlineExceeded,
            format!("the daemon is not ready after {seconds} s: see \"airunner logs\" and try again"),
        )
    })
}

fn died(exit: &airunner_platform::detached::EarlyExit, log: &str) -> Fault {
    let said = if exit.message.is_empty() {
        log
    } else {
        &exit.message
    };
    let said = if said.is_empty() {
        "it said nothing; try \"airunnerd --foreground\""
    } else {
        said
    };
    let how = exit::describe(exit.status);
    Fault::internal(format!("the daemon {how} right after its start: {said}"))
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// What was logged since the start, at most a few lines.
fn last_words(log: &Path, from: u64) -> String {
    let text = read_from(log, from).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let shown = lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES));
    let shown: Vec<String> = shown.map(|line| log_line::brief(line)).collect();
    shown.join("\n")
}

fn read_from(path: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // A shorter file is a new one: the log was rotated.
    let from = if from <= length { from } else { 0 };
    file.seek(SeekFrom::Start(from.max(length.saturating_sub(SHOWN_BYTES))))?;
    let mut bytes = Vec::new();
    file.take(SHOWN_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_logged_since_the_start_is_shown() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("airunner.log");
        assert_eq!(last_words(&log, 0), "");
        std::fs::write(&log, "old\n").unwrap();
        let from = 4;
        std::fs::write(
            &log,
            "old\n{\"level\":\"ERROR\",\"fields\":{\"message\":\"no luck\"}}\nplain\n",
        )
        .unwrap();
        assert_eq!(last_words(&log, from), "ERROR no luck\nplain");
        std::fs::write(&log, "n\n").unwrap();
        assert_eq!(last_words(&log, from), "n", "rotated since");
        std::fs::write(&log, "x\n".repeat(100)).unwrap();
        assert_eq!(last_words(&log, 0).lines().count(), SHOWN_LINES);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_program_that_ends_at_once_is_reported_with_its_words() {
        let directory = tempfile::tempdir().unwrap();
        let starter = Starter {
            places: Places::under(directory.path()),
            program: "/bin/false".into(),
            by_service: false,
        };
        let fault = starter.connect_or_start().await.unwrap_err();
        assert!(
            fault.message.contains("ended with code 1 right after its start"),
            "{fault}"
        );
        let starter = starter.program(directory.path().join("missing"));
        let fault = starter.connect_or_start().await.unwrap_err();
        assert_eq!(fault.kind, ErrorKind::NotFound);
    }
}
