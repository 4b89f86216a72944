//! How a process ended, in words.

use std::process::ExitStatus;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// Such as `ended with code 3` or `was killed by SIGKILL (perhaps the system ran out of memory)`.
#[must_use]
pub fn describe(status: ExitStatus) -> String {
    os::describe(status)
}

/// Number of the signal that ended it; `None` if none did, or the system knows no signals.
#[must_use]
pub fn signal(status: ExitStatus) -> Option<i32> {
    os::signal(status)
}
