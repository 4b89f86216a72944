//! Where local processes meet: a Unix socket, or a named pipe on Windows.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

mod arrivals;
mod connection;
mod listener;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

pub use arrivals::Arrivals;
pub use connection::{Connection, Peer, connect};
pub use listener::{BindError, Listener, Stale};
pub use os::LONGEST_PATH;

use crate::places::Places;

/// The address of a listener. It is a path everywhere; on Windows the path stands for a pipe
/// whose name is made from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(PathBuf);

impl Endpoint {
    /// Where the daemon of these places listens.
    #[must_use]
    pub fn of_daemon(places: &Places) -> Self {
        Self(places.socket())
    }

    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        self.0.as_os_str()
    }

    /// Removes what a listener that died left behind. Only for whoever owns the address.
    pub fn remove(&self) {
        os::remove(&self.0);
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&os::shown(&self.0))
    }
}

/// A short private directory that stands for one whose path is too long for socket names.
#[must_use]
pub(crate) fn fallback_runtime_directory(directory: &Path) -> PathBuf {
    os::fallback_runtime_directory(directory)
}

/// Where a login of this user would make its directory, on a system that does.
#[must_use]
pub(crate) fn usual_session_directory() -> Option<PathBuf> {
    os::usual_session_directory()
}

/// FNV-1a, 64 bits: the same in every build, which the standard library's hashers are not.
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
