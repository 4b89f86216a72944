//! One connection between two local processes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use interprocess::local_socket::tokio::{Stream, prelude::*};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Endpoint, os};

/// Who is at the other end, as far as the operating system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    pub pid: Option<u32>,
    pub uid: Option<u32>,
}

impl Peer {
    /// False only if the peer is known to be somebody else.
    pub(super) fn is_own_user(self) -> bool {
        match (self.uid, os::own_user()) {
            (Some(theirs), Some(mine)) => theirs == mine,
            // Where the system knows users by number, a peer without one is nobody we know.
            (None, Some(_)) => false,
            (_, None) => true,
        }
    }
}

/// A byte stream to a local process of the same user.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> io::Result<Self> {
        let credentials = stream.peer_creds()?;
        #[cfg(unix)]
        let (pid, uid) = (
            credentials.pid().and_then(|pid| u32::try_from(pid).ok()),
            credentials.euid(),
        );
        #[cfg(windows)]
        let (pid, uid) = (credentials.pid(), None);
        Ok(Self {
            stream,
            peer: Peer { pid, uid },
        })
    }

    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }
}

/// Connects, and makes sure that the listener belongs to the same user.
pub async fn connect(endpoint: &Endpoint) -> io::Result<Connection> {
    let connection = Connection::new(Stream::connect(os::name(&endpoint.0)?).await?)?;
    if connection.peer.is_own_user() {
        return Ok(connection);
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("{endpoint} belongs to another user: nothing was sent to it"),
    ))
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
