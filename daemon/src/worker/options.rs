//! The arguments between the daemon and a worker, written and read in one place.

use std::ffi::OsString;
use std::path::PathBuf;

use airunner_core::Fault;
use airunner_platform::{ChildLimits, Endpoint};

use crate::config::LogLevel;

/// The subcommand.
pub const WORKER: &str = "worker";

const SOCKET: &str = "--socket";
const ADDRESS_SPACE: &str = "--address-space";
const OPEN_FILES: &str = "--open-files";
const LOG_LEVEL: &str = "--log-level";

/// What a worker is told when it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerArguments {
    pub endpoint: Endpoint,
    pub limits: ChildLimits,
    pub log_level: LogLevel,
}

/// The command line of a worker.
#[must_use]
pub fn arguments(endpoint: &Endpoint, limits: &ChildLimits, log_level: LogLevel) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec![WORKER.into(), SOCKET.into(), endpoint.as_os_str().to_owned()];
    line.extend([LOG_LEVEL.into(), log_level.as_str().into()]);
    for (name, value) in [
        (ADDRESS_SPACE, limits.address_space),
        (OPEN_FILES, limits.open_files),
    ] {
        if let Some(value) = value {
            line.extend([name.into(), value.to_string().into()]);
        }
    }
    line
}

impl WorkerArguments {
    /// Reads what [`arguments`] wrote, without the subcommand.
    pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Self, Fault> {
        let mut line = line.into_iter();
        let mut endpoint = None;
        let mut parsed = (ChildLimits::default(), LogLevel::Info);
        while let Some(name) = line.next() {
            let value = line.next().ok_or_else(|| bad(&name))?;
            match name.to_str() {
                Some(SOCKET) => endpoint = Some(Endpoint::at(PathBuf::from(value))),
                Some(ADDRESS_SPACE) => parsed.0.address_space = Some(number(&name, &value)?),
                Some(OPEN_FILES) => parsed.0.open_files = Some(number(&name, &value)?),
                Some(LOG_LEVEL) => {
                    let known = LogLevel::ALL.into_iter().find(|level| value == level.as_str());
                    parsed.1 = known.ok_or_else(|| bad(&name))?;
                }
                Some(_) | None => return Err(bad(&name)),
            }
        }
        let endpoint = endpoint.ok_or_else(|| bad(&OsString::from(SOCKET)))?;
        Ok(Self {
            endpoint,
            limits: parsed.0,
            log_level: parsed.1,
        })
    }
}

fn number(name: &OsString, value: &OsString) -> Result<u64, Fault> {
    value
        .to_str()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| bad(name))
}

fn bad(name: &OsString) -> Fault {
    Fault::invalid(format!(
        "{} is not understood: only the daemon starts workers",
        name.to_string_lossy()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_daemon_writes_the_worker_reads() {
        let endpoint = Endpoint::at(PathBuf::from("/run/x y/1.sock"));
        for limits in [
            ChildLimits::default(),
            ChildLimits {
                address_space: Some(1 << 34),
                open_files: Some(1024),
            },
        ] {
            let line = arguments(&endpoint, &limits, LogLevel::Debug);
            assert_eq!(line[0], WORKER);
            let read = WorkerArguments::parse(line.into_iter().skip(1)).unwrap();
            let expected = WorkerArguments {
                endpoint: endpoint.clone(),
                limits,
                log_level: LogLevel::Debug,
            };
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in [
            &[][..],
            &["--socket"],
            &["--socket", "x", "--open-files", "many"],
            &["--evil", "x"],
        ] {
            assert!(
                WorkerArguments::parse(line.iter().map(OsString::from)).is_err(),
                "{line:?}"
            );
        }
    }
}
