use std::io;
use std::path::{Path, PathBuf};

use interprocess::local_socket::tokio::Listener;
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Name, ToNsName as _};
use interprocess::os::windows::local_socket::ListenerOptionsExt as _;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use widestring::U16CString;

use super::stable_hash;

/// Pipe names are hashes, so whatever is a path for Windows will do.
pub const LONGEST_PATH: usize = 32_767;

/// Full control for the owner and the system, nothing for anybody else, nothing inherited.
const OWNER_AND_SYSTEM: &str = "D:P(A;;GA;;;OW)(A;;GA;;;SY)";

fn pipe(path: &Path) -> String {
    let hash = stable_hash(path.to_string_lossy().to_lowercase().as_bytes());
    format!("airunner-{hash:016x}")
}

pub(super) fn name(path: &Path) -> io::Result<Name<'static>> {
    pipe(path).to_ns_name::<GenericNamespaced>()
}

pub(super) fn only_owner(options: ListenerOptions<'_>) -> io::Result<ListenerOptions<'_>> {
    let text = U16CString::from_str(OWNER_AND_SYSTEM)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(options.security_descriptor(SecurityDescriptor::deserialize(&text)?))
}

/// A pipe does not tell its peer's user; its access list keeps others out.
pub(super) const fn own_user() -> Option<u32> {
    None
}

/// Nobody hands over a pipe.
pub(crate) type Inherited = std::convert::Infallible;

pub(super) const fn adopt(listener: Inherited) -> io::Result<Listener> {
    match listener {}
}

/// A pipe is gone with its last handle.
pub(super) const fn remove(_path: &Path) {}

pub(super) fn shown(path: &Path) -> String {
    format!(r"\\.\pipe\{}", pipe(path))
}

pub(super) fn fallback_runtime_directory(directory: &Path) -> PathBuf {
    directory.to_path_buf()
}

pub(super) const fn usual_session_directory() -> Option<PathBuf> {
    None
}
