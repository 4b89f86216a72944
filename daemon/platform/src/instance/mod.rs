//! One daemon per set of places, and one tray.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};

use crate::io_error::kind_of;
use crate::places::Places;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// A daemon that is just ending needs a moment to let go of the lock.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(25);

/// A program of which each set of places has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Daemon,
    Tray,
}

impl Program {
    fn lock_file(self, places: &Places) -> PathBuf {
        match self {
            Self::Daemon => places.lock_file(),
            Self::Tray => places.runtime.join("airunner-tray.lock"),
        }
    }

    fn pid_file(self, places: &Places) -> PathBuf {
        match self {
            Self::Daemon => places.pid_file(),
            Self::Tray => places.runtime.join("airunner-tray.pid"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{}", already_running(*.program, *.pid))]
    AlreadyRunning { program: Program, pid: Option<u32> },
    #[error("cannot use the lock file {}", path.display())]
    File { path: PathBuf, source: io::Error },
}

fn already_running(program: Program, pid: Option<u32>) -> String {
    let who = pid.map_or_else(String::new, |pid| format!(" as process {pid}"));
    match program {
        Program::Daemon => {
            format!("the daemon runs already{who}: use it, or stop it first with \"airunner stop\"")
        }
        Program::Tray => {
            format!(
                "the tray runs already{who}: look for its icon in the panel, or quit it from its menu first"
            )
        }
    }
}

impl From<LockError> for Fault {
    fn from(error: LockError) -> Self {
        let kind = match &error {
            LockError::AlreadyRunning { .. } => ErrorKind::AlreadyExists,
            LockError::File { source, .. } => kind_of(source),
        };
        Self::new(kind, error::chain(&error))
    }
}

/// The right to be the daemon, or the tray. The daemon's holder may replace a stale socket and
/// clean up after a predecessor that died. Dropping it removes the lock and pid files.
#[derive(Debug)]
pub struct InstanceLock {
    _file: File,
    lock: PathBuf,
    pid: PathBuf,
}

impl InstanceLock {
    /// The daemon's. The runtime directory must exist.
    pub async fn acquire(places: &Places) -> Result<Self, LockError> {
        Self::acquire_for(Program::Daemon, places).await
    }

    /// That of a program. The runtime directory must exist.
    pub async fn acquire_for(program: Program, places: &Places) -> Result<Self, LockError> {
        let lock = program.lock_file(places);
        let pid = program.pid_file(places);
        for _ in 0..ATTEMPTS {
            if let Some(file) = try_lock(&lock).map_err(|source| file_error(&lock, source))? {
                fs::write(&pid, format!("{}\n", std::process::id()))
                    .map_err(|source| file_error(&pid, source))?;
                return Ok(Self {
                    _file: file,
                    lock,
                    pid,
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(LockError::AlreadyRunning {
            program,
            pid: read_pid(&pid),
        })
    }
}

impl Drop for InstanceLock {
    fn drop(&mut self) {
        // The files go while the lock is held, so that nobody's new files are removed.
        drop(fs::remove_file(&self.pid));
        os::remove_lock_file(&self.lock);
    }
}

/// The process that wrote the pid file; it need not live any more.
#[must_use]
pub fn recorded_pid(places: &Places) -> Option<u32> {
    read_pid(&places.pid_file())
}

fn read_pid(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// `None` if somebody else holds it.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    let file = os::open(&mut options, path)?;
    match file.try_lock() {
        // A predecessor may have removed the file between our opening and locking it.
        Ok(()) => Ok(os::is_still_at(&file, path)?.then_some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn file_error(path: &Path, source: io::Error) -> LockError {
    LockError::File {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(directory: &tempfile::TempDir) -> Places {
        let places = Places::under(directory.path());
        places.create().unwrap();
        places
    }

    #[tokio::test]
    async fn only_one_holds_it_and_the_second_learns_who() {
        let directory = tempfile::tempdir().unwrap();
        let places = places(&directory);
        let first = InstanceLock::acquire(&places).await.unwrap();
        let second = InstanceLock::acquire(&places).await.unwrap_err();
        let LockError::AlreadyRunning { pid, .. } = second else {
            panic!("{second}")
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(first);
        InstanceLock::acquire(&places).await.unwrap();
    }

    #[tokio::test]
    async fn daemon_and_tray_are_not_in_each_others_way() {
        let directory = tempfile::tempdir().unwrap();
        let places = places(&directory);
        let _daemon = InstanceLock::acquire(&places).await.unwrap();
        let tray = InstanceLock::acquire_for(Program::Tray, &places).await.unwrap();
        let second = InstanceLock::acquire_for(Program::Tray, &places)
            .await
            .unwrap_err()
            .to_string();
        assert!(second.starts_with("the tray runs already as process"), "{second}");
        drop(tray);
        assert_eq!(recorded_pid(&places), Some(std::process::id()));
    }

    #[tokio::test]
    async fn it_leaves_no_file_behind() {
        let directory = tempfile::tempdir().unwrap();
        let places = places(&directory);
        for _ in 0..20 {
            drop(InstanceLock::acquire(&places).await.unwrap());
        }
        assert!(!places.pid_file().exists());
        #[cfg(unix)]
        assert!(!places.lock_file().exists());
    }

    #[tokio::test]
    async fn files_of_a_dead_daemon_do_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        let places = places(&directory);
        fs::write(places.lock_file(), "").unwrap();
        fs::write(places.pid_file(), "999999\n").unwrap();
        let _lock = InstanceLock::acquire(&places).await.unwrap();
        assert_eq!(recorded_pid(&places), Some(std::process::id()));
    }
}
