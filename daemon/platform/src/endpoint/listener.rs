//! The listening side, which lets in nobody but its own user.

use std::io;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault, error};
use interprocess::local_socket::ListenerOptions;
use interprocess::local_socket::tokio::{Listener as Inner, prelude::*};

use super::{Connection, Endpoint, os};
use crate::io_error::kind_of;

/// How long to wait after an accept failed, at first and at most: running out of file
/// descriptors must not become a busy loop.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What to do if the address is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// Take it over. Steals it from a listener that lives, so only for whoever holds the lock
    /// that belongs to the address.
    Replace,
    Refuse,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}")]
pub struct BindError {
    endpoint: String,
    source: io::Error,
}

impl From<BindError> for Fault {
    fn from(error: BindError) -> Self {
        let kind = if error.source.kind() == io::ErrorKind::InvalidInput {
            ErrorKind::InvalidConfig
        } else {
            kind_of(&error.source)
        };
        Self::new(kind, error::chain(&error))
    }
}

/// Accepts connections of this user. Dropping it removes the address.
#[derive(Debug)]
pub struct Listener {
    inner: Inner,
    endpoint: Endpoint,
}

impl Listener {
    /// Must be called within a tokio runtime.
    pub fn bind(endpoint: Endpoint, stale: Stale) -> Result<Self, BindError> {
        match listen(&endpoint, stale) {
            Ok(inner) => Ok(Self { inner, endpoint }),
            Err(source) => Err(BindError {
                endpoint: endpoint.to_string(),
                source,
            }),
        }
    }

    /// Listens with what somebody else opened at this address and goes on holding: it is not
    /// removed in the end. Must be called within a tokio runtime.
    pub(crate) fn inherited(endpoint: Endpoint, listener: os::Inherited) -> Result<Self, BindError> {
        match os::adopt(listener) {
            Ok(inner) => Ok(Self { inner, endpoint }),
            Err(source) => Err(BindError {
                endpoint: endpoint.to_string(),
                source,
            }),
        }
    }

    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The next connection of this user. Everybody else is turned away before a byte is read.
    /// Dropping the future loses nothing.
    pub async fn accept(&self) -> Connection {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.inner.accept().await.and_then(Connection::new) {
                Ok(connection) if connection.peer().is_own_user() => {
                    let peer = connection.peer();
                    tracing::info!(pid = peer.pid, uid = peer.uid, endpoint = %self.endpoint, "connection accepted");
                    return connection;
                }
                Ok(connection) => {
                    let peer = connection.peer();
                    tracing::warn!(pid = peer.pid, uid = peer.uid, endpoint = %self.endpoint, "connection of another user refused");
                }
                Err(error) => {
                    tracing::warn!(%error, endpoint = %self.endpoint, "cannot accept a connection");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}

fn listen(endpoint: &Endpoint, stale: Stale) -> io::Result<Inner> {
    let options = || {
        let name = os::name(&endpoint.0)?;
        io::Result::Ok(
            ListenerOptions::new()
                .name(name)
                .try_overwrite(stale == Stale::Replace),
        )
    };
    match os::only_owner(options()?)?.create_tokio() {
        // Some systems cannot set the mode of a socket; the private directory protects it there.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => options()?.create_tokio(),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::endpoint::connect;

    fn endpoint(directory: &tempfile::TempDir) -> Endpoint {
        Endpoint::at(directory.path().join("test.sock"))
    }

    #[tokio::test]
    async fn bytes_go_through_and_the_peer_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let listener = Listener::bind(endpoint(&directory), Stale::Refuse).unwrap();
        let address = endpoint(&directory);
        let (mut server, client) = tokio::join!(listener.accept(), connect(&address));
        let mut client = client.unwrap();
        assert_eq!(server.peer().pid, Some(std::process::id()));
        client.write_all(b"hello").await.unwrap();
        let mut buffer = [0; 5];
        server.read_exact(&mut buffer).await.unwrap();
        assert_eq!(&buffer, b"hello");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_socket_is_private_and_goes_with_its_listener() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        let listener = Listener::bind(endpoint(&directory), Stale::Refuse).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        drop(listener);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn an_inherited_socket_serves_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.sock");
        let held = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let listener = Listener::inherited(endpoint(&directory), held.try_clone().unwrap()).unwrap();
        let address = endpoint(&directory);
        let (server, client) = tokio::join!(listener.accept(), connect(&address));
        client.unwrap();
        assert_eq!(server.peer().pid, Some(std::process::id()));
        drop(listener);
        assert!(path.exists());
        drop(held);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_stale_socket_is_replaced_only_when_told_so() {
        let directory = tempfile::tempdir().unwrap();
        let corpse = std::os::unix::net::UnixListener::bind(directory.path().join("test.sock")).unwrap();
        drop(corpse);
        assert!(Listener::bind(endpoint(&directory), Stale::Refuse).is_err());
        Listener::bind(endpoint(&directory), Stale::Replace).unwrap();
    }
}
