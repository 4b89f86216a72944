//! The listeners, and what every connection is held to.

mod bind;
mod certificate;
mod connection;
mod io;
mod progress;
mod rooms;
mod shared;
mod tls;
mod upgraded;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use airunner_core::access::{AuditEvent, KeyState};
use airunner_core::{ErrorKind, Fault};
use axum::Extension;
use futures_util::future::join_all;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::api::Api;
use super::guard::{Guard, Guarding};
use super::router::router;
use crate::config::HttpSettings;
use connection::Terms;
use rooms::Rooms;
use tls::Encryption;
pub(super) use upgraded::Upgraded;

/// How long to wait when the system has no more descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// Where clients of Ollama look.
const OLLAMA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 11434);

/// What it takes to serve, besides what handlers call.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    pub settings: &'a HttpSettings,
    /// For a certificate of our own.
    pub data: &'a Path,
    /// A client that reads nothing for so long is given up.
    pub reader_timeout: Duration,
}

/// Ready to serve.
pub(super) struct Server {
    listeners: Vec<Listener>,
    terms: Terms,
    upgraded: Upgraded,
    api: Api,
    connections: usize,
}

/// Has a server that runs go by other rules.
pub struct Changer {
    guarding: Guarding,
    address: SocketAddr,
}

impl Changer {
    /// Who may call and how often, from the next request. Addresses and encryption stay.
    pub fn change(&self, settings: &HttpSettings) {
        let names = bind::names(settings, self.address);
        self.guarding.change(settings, names);
    }
}

struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    encryption: Option<watch::Receiver<TlsAcceptor>>,
}

impl Server {
    /// Takes the addresses, if that is safe.
    pub(super) async fn bind(
        address: SocketAddr,
        setting: Setting<'_>,
        api: Api,
    ) -> Result<(Self, Changer), Fault> {
        let settings = setting.settings;
        let has_keys = has_keys(&api);
        if let Some(objection) = bind::objection(address, settings, has_keys) {
            let place = Some(address.to_string());
            let lacks = if has_keys { "no TLS" } else { "no key" };
            api.keys.note(AuditEvent::BindRefused, None, place, lacks);
            return Err(Fault::new(ErrorKind::PermissionDenied, objection));
        }
        let names = bind::names(settings, address);
        let encryption = encryption(setting, bind::certified(&names, address)).await?;
        let mut listeners = vec![Listener::bind(address, encryption).await?];
        if settings.ollama_port && address != OLLAMA {
            match Listener::bind(OLLAMA, None).await {
                Ok(listener) => listeners.push(listener),
                Err(fault) => tracing::warn!("clients of Ollama are not served: {fault}"),
            }
        }
        for listener in &listeners {
            let place = Some(listener.address.to_string());
            api.keys.note(AuditEvent::Bound, None, place, &listener.url());
        }
        let (guard, guarding) = Guard::new(settings, names, api.keys.clone());
        let upgraded = Upgraded::default();
        let terms = Terms {
            router: router(api.clone(), guard).layer(Extension(upgraded.clone())),
            reader_timeout: setting.reader_timeout,
        };
        let server = Self {
            listeners,
            terms,
            upgraded,
            api,
            connections: settings.connections,
        };
        Ok((server, Changer { guarding, address }))
    }

    /// Where it answers.
    pub(super) fn urls(&self) -> Vec<String> {
        self.listeners.iter().map(Listener::url).collect()
    }

    /// Until the end is asked for; then it accepts nobody, and returns when every request that
    /// was open has been answered and every WebSocket was taken leave of.
    pub(super) async fn serve(self) {
        let graceful = GracefulShutdown::new();
        let rooms = Rooms::new(self.connections, self.api.usage.metrics().clone());
        let accepting = self
            .listeners
            .into_iter()
            .map(|listener| listener.accept_all(&rooms, &self.terms, &graceful));
        tokio::select! {
            () = self.api.ending.asked() => {}
            _ = join_all(accepting) => {}
        }
        graceful.shutdown().await;
        self.upgraded.gone().await;
    }
}

impl Listener {
    async fn bind(address: SocketAddr, encryption: Option<Encryption>) -> Result<Self, Fault> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Fault::new(
                ErrorKind::Unavailable,
                format!("cannot listen on {address}: {error}: choose another address in [http] listen"),
            )
        })?;
        let address = listener
            .local_addr()
            .map_err(|error| Fault::internal(format!("the HTTP address is not known: {error}")))?;
        Ok(Self {
            listener,
            address,
            encryption: encryption.map(Encryption::keep),
        })
    }

    fn url(&self) -> String {
        let scheme = if self.encryption.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}", self.address)
    }

    async fn accept_all(self, rooms: &Rooms, terms: &Terms, graceful: &GracefulShutdown) {
        loop {
            let (stream, remote) = self.accept().await;
            let Some(room) = rooms.take(remote.ip()) else {
                tracing::warn!(%remote, "too many connections: one is refused");
                if self.encryption.is_none() {
                    turn_away(&stream);
                }
                continue;
            };
            let encryption = self.encryption.as_ref();
            let encryption = encryption.map(|acceptor| acceptor.borrow().clone());
            let served = terms.serve(stream, room, encryption, graceful.watcher());
            tokio::spawn(served);
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
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

fn has_keys(api: &Api) -> bool {
    let now = SystemTime::now();
    let keys = api.keys.list();
    keys.iter().any(|key| key.state(now) == KeyState::Active)
}

async fn encryption(setting: Setting<'_>, names: Vec<String>) -> Result<Option<Encryption>, Fault> {
    let (settings, data) = (setting.settings.clone(), setting.data.to_path_buf());
    let open = move || Encryption::new(&settings, &data, names);
    let opened = tokio::task::spawn_blocking(open).await;
    opened.map_err(|error| Fault::internal(format!("reading the certificate failed: {error}")))?
}
