use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, Name, ToFsName as _};
use interprocess::os::unix::local_socket::ListenerOptionsExt as _;
use interprocess::os::unix::uds_local_socket::tokio::Listener as UnixListener;

use super::stable_hash;

/// Bytes a socket's path may have, without its NUL, on the strictest system (macOS).
pub const LONGEST_PATH: usize = 103;

pub(super) fn name(path: &Path) -> io::Result<Name<'_>> {
    let length = path.as_os_str().len();
    if length > LONGEST_PATH {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "the socket path has {length} bytes and the system allows {LONGEST_PATH}: choose a shorter AIRUNNER_HOME"
            ),
        ));
    }
    path.to_fs_name::<GenericFilePath>()
}

pub(super) fn only_owner(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    Ok(options.mode(0o600))
}

/// Whose connections are accepted: those of the user this process runs as.
pub(super) fn own_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// What somebody else listens with.
pub(crate) type Inherited = std::os::unix::net::UnixListener;

pub(super) fn adopt(listener: Inherited) -> io::Result<Listener> {
    UnixListener::try_from(OwnedFd::from(listener)).map(Listener::from)
}

pub(super) fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot remove the socket"),
    }
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}

pub(super) fn fallback_runtime_directory(directory: &Path) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    let hash = stable_hash(directory.as_os_str().as_bytes());
    PathBuf::from(format!("/tmp/airunner-{user}")).join(format!("{hash:016x}"))
}

/// logind and its relatives agree on it; elsewhere there is no such directory.
pub(super) fn usual_session_directory() -> Option<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    Some(PathBuf::from(format!("/run/user/{user}")))
}
