//! Starting a process that outlives its starter.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// As much of what a failed start said as is worth showing, bytes.
const LONGEST_MESSAGE: u64 = 8 << 10;

/// A process of its own: no terminal, no input, and it does not end with its starter.
#[derive(Debug)]
pub struct Detached {
    child: Child,
    errors: Option<ChildStderr>,
}

/// How a detached process ended before it was of use.
#[derive(Clone, Debug)]
pub struct EarlyExit {
    pub status: ExitStatus,
    /// What it wrote to standard error, trimmed.
    pub message: String,
}

impl Detached {
    /// Starts a program. Its working directory is the root, so that it keeps no other in use.
    pub fn start<I, A>(program: &Path, arguments: I) -> io::Result<Self>
    where
        I: IntoIterator<Item = A>,
        A: AsRef<OsStr>,
    {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        os::detach(&mut command);
        let mut child = command.spawn()?;
        let errors = child.stderr.take();
        Ok(Self { child, errors })
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. Ask between attempts to reach it.
    pub fn early_exit(&mut self) -> io::Result<Option<EarlyExit>> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(None);
        };
        let mut message = Vec::new();
        if let Some(errors) = self.errors.take() {
            errors.take(LONGEST_MESSAGE).read_to_end(&mut message)?;
        }
        Ok(Some(EarlyExit {
            status,
            message: String::from_utf8_lossy(&message).trim().to_owned(),
        }))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_is_reported_with_what_was_said() {
        let mut process = Detached::start(Path::new("/bin/sh"), ["-c", "echo no luck >&2; exit 3"]).unwrap();
        process.child.wait().unwrap();
        let exit = process.early_exit().unwrap().unwrap();
        assert_eq!(exit.status.code(), Some(3));
        assert_eq!(exit.message, "no luck");
    }

    #[test]
    fn it_has_a_session_of_its_own() {
        let process = Detached::start(Path::new("/bin/sh"), ["-c", "read line"]).unwrap();
        let mut process = process;
        let pid = rustix::process::Pid::from_child(&process.child);
        if let Ok(session) = rustix::process::getsid(Some(pid)) {
            assert_eq!(session, pid);
        }
        process.child.wait().unwrap();
    }
}
