//! The protocols of systemd: `sd_notify(3)`, `sd_listen_fds(3)`, and the journal's socket.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";
/// The first descriptor that is handed over.
const FIRST: i32 = 3;

#[expect(
    clippy::disallowed_methods,
    reason = "the manager tells this process in its environment, before any configuration is read"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

fn number<T: std::str::FromStr>(name: &str) -> Option<T> {
    variable(name)?.to_str()?.parse().ok()
}

/// Where notices go.
#[derive(Debug)]
pub(super) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    pub(super) fn of_process() -> Option<Self> {
        Self::at(&variable("NOTIFY_SOCKET")?).ok()
    }

    fn at(address: &OsStr) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address: socket_address(address)?,
        })
    }

    pub(super) fn send(&self, notice: &[u8]) -> io::Result<()> {
        self.socket.send_to_addr(notice, &self.address).map(drop)
    }
}

/// A path, or after an `@` a name that is none.
fn socket_address(address: &OsStr) -> io::Result<SocketAddr> {
    use std::os::unix::ffi::OsStrExt as _;
    match address.as_bytes().split_first() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Some((b'@', name)) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        Some((b'/', _)) => SocketAddr::from_pathname(address),
        Some(_) | None => Err(io::ErrorKind::Unsupported.into()),
    }
}

pub(super) fn watchdog() -> Option<Duration> {
    let for_me = number::<u32>("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id());
    number("WATCHDOG_USEC")
        .filter(|_| for_me)
        .map(Duration::from_micros)
}

/// The listener on the expected path among those handed over.
pub(super) fn inherited(expected: &Path) -> io::Result<Option<UnixListener>> {
    let for_me = number::<u32>("LISTEN_PID") == Some(std::process::id());
    let count = number::<i32>("LISTEN_FDS").filter(|count| for_me && (1..=64).contains(count));
    let mut found = None;
    for descriptor in FIRST..FIRST + count.unwrap_or(0) {
        #[expect(unsafe_code, reason = "descriptors are handed over as numbers")]
        // SAFETY: the service manager opened these descriptors for this process alone and nothing
        // else here knows of them; this is called once, so each has one owner from here on.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        // Workers must not keep the address.
        rustix::io::fcntl_setfd(&owned, rustix::io::FdFlags::CLOEXEC)?;
        found = found.or(listener_on(owned, expected)?);
    }
    match found {
        None if count.is_some() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("it is not {}", expected.display()),
        )),
        found => Ok(found),
    }
}

fn listener_on(descriptor: OwnedFd, expected: &Path) -> io::Result<Option<UnixListener>> {
    let listener = UnixListener::from(descriptor);
    let address = listener.local_addr()?;
    Ok((address.as_pathname() == Some(expected)).then_some(listener))
}

/// Whoever listens there is found by connecting: tables of the kernel hold names of other
/// containers too.
pub(super) fn is_listened_on(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// The journal's socket.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Programs of a session inherit the variable from it, with a terminal for standard error: so
    /// that is compared.
    pub(super) fn of_process() -> Option<Self> {
        let stream = variable("JOURNAL_STREAM")?;
        let (device, inode) = stream.to_str()?.split_once(':')?;
        let error = rustix::fs::fstat(io::stderr()).ok()?;
        let same = device.parse() == Ok(error.st_dev) && inode.parse() == Ok(error.st_ino);
        same.then(|| Self::at(Path::new(JOURNAL_SOCKET)).ok())?
    }

    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            socket: UnixDatagram::unbound()?,
            path: path.to_path_buf(),
        })
    }

    pub(super) fn send(&self, entry: &[u8]) -> io::Result<()> {
        self.socket.send_to(entry, &self.path).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_arrives_and_a_manager_that_is_gone_is_an_error_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let told = Manager::at(path.as_os_str()).unwrap();
        told.send(b"READY=1").unwrap();
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"READY=1");
        drop(manager);
        // A process that another test is just starting may hold the socket until it has begun.
        while told.send(b"WATCHDOG=1").is_ok() {
            std::thread::yield_now();
        }
        assert!(Manager::at(OsStr::new("relative")).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_that_is_no_path_is_understood() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("airunner-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let told = Manager::at(OsStr::new(&format!("@{name}"))).unwrap();
        told.send(b"READY=1").unwrap();
        assert_eq!(manager.recv(&mut [0; 64]).unwrap(), 7);
    }

    #[test]
    fn only_the_listener_on_the_daemon_s_path_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a b.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let copy = || OwnedFd::from(listener.try_clone().unwrap());
        assert!(listener_on(copy(), &path).unwrap().is_some());
        assert!(listener_on(copy(), Path::new("/elsewhere")).unwrap().is_none());
    }

    #[test]
    fn a_path_that_is_listened_on_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("with a space.sock");
        assert!(!is_listened_on(&path));
        let listener = UnixListener::bind(&path).unwrap();
        assert!(is_listened_on(&path));
        drop(listener);
        // A socket that was left is free; a process that another test is just starting may hold it
        // until it has begun.
        while is_listened_on(&path) {
            std::thread::yield_now();
        }
        assert!(path.exists());
    }
}
