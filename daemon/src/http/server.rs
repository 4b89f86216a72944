//! The listener, and what every connection is held to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use airunner_core::{ErrorKind, Fault};
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::api::Api;
use super::router::router;

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// Headers of a request.
const MAX_HEADERS: usize = 128;
/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// Resets of streams the server had not looked at yet, before a connection is ended as hostile.
const MAX_PENDING_RESETS: usize = 64;
/// How long to wait when the system has no more descriptors.
const BREATH: Duration = Duration::from_millis(100);

/// Ready to serve.
pub struct Server {
    listener: TcpListener,
    router: Router,
    api: Api,
    connections: Arc<Semaphore>,
}

impl Server {
    /// Takes the address.
    pub async fn bind(address: SocketAddr, connections: usize, api: Api) -> Result<Self, Fault> {
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Fault::new(
                ErrorKind::Unavailable,
                format!("cannot listen on {address}: {error}: choose another address in [http] listen"),
            )
        })?;
        Ok(Self {
            listener,
            router: router(api.clone()),
            api,
            connections: Arc::new(Semaphore::new(connections)),
        })
    }

    pub fn address(&self) -> Result<SocketAddr, Fault> {
        self.listener
            .local_addr()
            .map_err(|error| Fault::internal(format!("the HTTP address is not known: {error}")))
    }

    /// Until the end is asked for; then it accepts nobody, and returns when every request that
    /// was open has been answered.
    pub async fn serve(self) {
        let graceful = GracefulShutdown::new();
        let mut asked = std::pin::pin!(self.api.ending.asked());
        loop {
            let accepted = tokio::select! {
                () = &mut asked => break,
                accepted = self.accept() => accepted,
            };
            let (stream, permit) = accepted;
            let service = TowerToHyperService::new(self.router.clone());
            let connection = builder()
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .into_owned();
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error, "a connection ended badly");
                }
                drop(permit);
            });
        }
        drop(self.listener);
        graceful.shutdown().await;
    }

    async fn accept(&self) -> (TcpStream, tokio::sync::OwnedSemaphorePermit) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                        tracing::warn!(%peer, "too many connections: one is refused");
                        continue;
                    };
                    // Pieces of an answer are small and wanted at once.
                    drop(stream.set_nodelay(true));
                    return (stream, permit);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    builder
}
