//! A place where is listened: opened, shut, and left by those who came in by it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::bind::Wanted;
use super::connection::Terms;
use super::moved::Moved;
use super::rooms::Rooms;

/// How long to wait when the system has no more descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// What connections are encrypted with from one time to the next.
pub(super) type Seal = Option<watch::Receiver<TlsAcceptor>>;

/// How whoever comes in is served.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) terms: Terms,
    pub(super) rooms: watch::Receiver<Arc<Rooms>>,
}

/// Why an address could not be taken.
#[derive(Debug)]
pub(super) struct BindError {
    address: SocketAddr,
    source: io::Error,
}

impl BindError {
    pub(super) fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

impl From<BindError> for Fault {
    fn from(BindError { address, source }: BindError) -> Self {
        let is = |kind| source.kind() == kind;
        let (kind, why) = if is(io::ErrorKind::AddrInUse) {
            (ErrorKind::Busy, "another program listens there".to_owned())
        } else if is(io::ErrorKind::PermissionDenied) {
            let why = "the system does not let this user; ports below 1024 are often reserved";
            (ErrorKind::PermissionDenied, why.to_owned())
        } else if is(io::ErrorKind::AddrNotAvailable) {
            let why = "it is not an address of this machine";
            (ErrorKind::InvalidArgument, why.to_owned())
        } else {
            (ErrorKind::Unavailable, source.to_string())
        };
        Self::new(
            kind,
            format!("cannot listen on {address}: {why}: choose another address in http.listen"),
        )
    }
}

/// An address that is taken and where nobody is let in yet, or any more. Whoever came in before is
/// served on.
pub(super) struct Shut {
    pub(super) wanted: Wanted,
    pub(super) address: SocketAddr,
    pub(super) seal: Seal,
    listener: TcpListener,
    inside: Inside,
}

/// Those who came in by one door.
#[derive(Default)]
pub(super) struct Inside {
    graceful: GracefulShutdown,
    moved: CancellationToken,
}

/// A door that was given up, and may be wanted back.
pub(super) struct Released {
    wanted: Wanted,
    address: SocketAddr,
    seal: Seal,
    pub(super) inside: Inside,
}

impl Shut {
    /// Takes the address, without encryption yet.
    pub(super) async fn bind(wanted: Wanted) -> Result<Self, BindError> {
        let at = wanted.address;
        Self::take(at, wanted, None, Inside::default()).await
    }

    async fn take(at: SocketAddr, wanted: Wanted, seal: Seal, inside: Inside) -> Result<Self, BindError> {
        let failed = |source| BindError { address: at, source };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            wanted,
            address,
            seal,
            listener,
            inside,
        })
    }

    pub(super) fn open(self, service: Service) -> Door {
        let stop = CancellationToken::new();
        let (wanted, address, is_sealed) = (self.wanted.clone(), self.address, self.seal.is_some());
        let accepting = tokio::spawn(self.accept_until(stop.clone(), service));
        Door {
            wanted,
            address,
            is_sealed,
            stop: stop.drop_guard(),
            accepting,
        }
    }

    /// The same address with other encryption, and those who came in by the old one.
    pub(super) fn resealed(self, wanted: Wanted, seal: Seal) -> (Self, Inside) {
        let Self {
            address,
            listener,
            inside,
            ..
        } = self;
        let shut = Self {
            wanted,
            address,
            seal,
            listener,
            inside: Inside::default(),
        };
        (shut, inside)
    }

    /// Lets the address go. Whoever has knocked already is let in.
    pub(super) fn release(self, service: &Service) -> Released {
        let Self {
            wanted,
            address,
            seal,
            listener,
            inside,
        } = self;
        if let Ok(listener) = listener.into_std() {
            while let Ok((stream, remote)) = listener.accept() {
                let stream = stream
                    .set_nonblocking(true)
                    .and_then(|()| TcpStream::from_std(stream));
                if let Ok(stream) = stream {
                    let_in(stream, remote, &seal, service, &inside);
                }
            }
        }
        Released {
            wanted,
            address,
            seal,
            inside,
        }
    }

    async fn accept_until(self, stop: CancellationToken, service: Service) -> Self {
        loop {
            let (stream, remote) = tokio::select! {
                biased;
                () = stop.cancelled() => return self,
                accepted = accept(&self.listener) => accepted,
            };
            let_in(stream, remote, &self.seal, &service, &self.inside);
        }
    }
}

impl Released {
    /// Takes the address again. Who is inside stays.
    pub(super) async fn back(self) -> Result<Shut, BindError> {
        Shut::take(self.address, self.wanted, self.seal, self.inside).await
    }
}

impl Inside {
    /// Resolves when everybody has left: whoever is idle at once, whoever is answered after that.
    pub(super) async fn leave(self) {
        self.moved.cancel();
        self.graceful.shutdown().await;
    }

    /// The same at the end of the daemon, which everybody hears of otherwise.
    pub(super) async fn end(self) {
        self.graceful.shutdown().await;
    }
}

/// Where somebody is let in. Dropped, it is shut.
pub(super) struct Door {
    pub(super) wanted: Wanted,
    /// With the port that was free if any would have done.
    pub(super) address: SocketAddr,
    is_sealed: bool,
    stop: DropGuard,
    accepting: JoinHandle<Shut>,
}

impl Door {
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        self.wanted.address == address || self.address == address
    }

    pub(super) fn url(&self) -> String {
        let scheme = if self.is_sealed { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// `None` if accepting has failed by a defect; then the address is free.
    pub(super) async fn shut(self) -> Option<Shut> {
        drop(self.stop);
        match self.accepting.await {
            Ok(shut) => Some(shut),
            Err(error) => {
                tracing::error!(%error, "accepting connections failed");
                None
            }
        }
    }
}

fn let_in(stream: TcpStream, remote: SocketAddr, seal: &Seal, service: &Service, inside: &Inside) {
    let Some(room) = service.rooms.borrow().take(remote.ip()) else {
        tracing::warn!(%remote, "too many connections: one is refused");
        if seal.is_none() {
            turn_away(&stream);
        }
        return;
    };
    let encryption = seal.as_ref().map(|acceptor| acceptor.borrow().clone());
    let moved = Moved::new(inside.moved.clone());
    let watcher = inside.graceful.watcher();
    tokio::spawn(service.terms.serve(stream, room, encryption, watcher, moved));
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Says so if it can be said at once.
fn turn_away(stream: &TcpStream) {
    const BUSY: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    drop(stream.try_write(BUSY));
}
