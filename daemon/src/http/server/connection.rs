//! One connection, from the first byte to the last.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::Watcher;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::{ServiceExt as _, service_fn};

use super::io::{Patient, Room};
use super::moved::Moved;
use super::progress::{Activity, Answers};
use super::shared::Shared;
use crate::http::guard::Connection;

/// How long a client may take to send the head of a request, and to greet before it; and how
/// long a connection of HTTP/1 may be idle.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long a connection of HTTP/2 may be idle.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// How long requests may still be answered whose client has closed its side.
const PARTING_TIME: Duration = Duration::from_secs(1);
/// Headers of a request.
const MAX_HEADERS: usize = 128;
/// Bytes of the head of a request.
const MAX_HEAD_BYTES: usize = 64 << 10;
/// Requests one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 128;
/// Resets of streams the server had not looked at yet, before a connection is ended as hostile.
const MAX_PENDING_RESETS: usize = 64;
/// Bytes of an answer that wait for an HTTP/2 client to make room.
const MAX_SEND_BYTES: usize = 256 << 10;
/// A connection of HTTP/2 that answers nothing is dead.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What every connection is served with.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) router: Router,
    pub(super) reader_timeout: Duration,
}

impl Terms {
    /// Serves a connection until it ends, is given up, or the server ends.
    pub(super) fn serve(
        &self,
        stream: TcpStream,
        room: Room,
        encryption: Option<TlsAcceptor>,
        watcher: Watcher,
        moved: Moved,
    ) -> impl Future<Output = ()> + Send + use<> {
        let Self {
            router,
            reader_timeout,
        } = self.clone();
        async move {
            let (Ok(remote), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else {
                return;
            };
            // Pieces of an answer are small and wanted at once.
            drop(stream.set_nodelay(true));
            let by = Connection {
                remote,
                local,
                encrypted: encryption.is_some(),
            };
            let stream = Shared::new(stream);
            let conversation = Conversation {
                by,
                moved,
                router,
                watcher,
                patience: reader_timeout,
                line: stream.clone(),
            };
            let stream = Patient::new(stream, reader_timeout, Some(room));
            let Some(encryption) = encryption else {
                return conversation.with(stream).await;
            };
            match timeout(HEAD_TIME, encryption.accept(stream)).await {
                Ok(Ok(stream)) => conversation.with(stream).await,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client could not be agreed with about encryption")
                }
                Err(_) => tracing::debug!("a client took too long to agree about encryption"),
            }
        }
    }
}

/// What is said on one connection.
struct Conversation {
    by: Connection,
    moved: Moved,
    router: Router,
    watcher: Watcher,
    /// How long a client may take nothing of an answer.
    patience: Duration,
    /// Beneath all encryption.
    line: Shared,
}

impl Conversation {
    async fn with<S>(self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Self {
            by,
            moved,
            router,
            watcher,
            ..
        } = self;
        let (answers, mut seen) = Answers::new();
        let mut stalls = pin!(answers.stalls(self.patience));
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(by);
            request.extensions_mut().insert(moved.clone());
            let (router, open, version) = (router.clone(), answers.open(), request.version());
            async move {
                let response = router.oneshot(request).await?;
                Ok::<_, Infallible>(response.map(|body| open.watch(version, body)))
            }
        });
        let builder = builder();
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let mut connection = pin!(watcher.watch(connection));
        let gave_up = tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(error, "a connection ended badly");
                }
                return;
            }
            () = idle(&mut seen) => "it was idle for too long",
            () = &mut stalls => "its client takes nothing of its answers",
            () = self.line.left_for(PARTING_TIME) => "its client left",
        };
        tracing::debug!(reason = gave_up, "a connection is given up");
    }
}

/// Resolves when nothing was asked for too long.
async fn idle(seen: &mut watch::Receiver<Activity>) {
    loop {
        let now = *seen.borrow_and_update();
        let patience = if now.begun { IDLE_TIME } else { HEAD_TIME };
        tokio::select! {
            changed = seen.changed() => if changed.is_err() {
                // The connection became another protocol's.
                std::future::pending::<()>().await;
            },
            () = sleep(patience), if now.open == 0 => return,
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
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_send_buf_size(MAX_SEND_BYTES)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX));
    builder
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_between_requests() {
        let (answers, mut seen) = Answers::new();
        let began = Instant::now();
        idle(&mut seen).await;
        assert_eq!(began.elapsed(), HEAD_TIME, "nothing was ever asked");
        let open = answers.open();
        let long = HEAD_TIME + IDLE_TIME * 3;
        assert!(timeout(long, idle(&mut seen)).await.is_err(), "a request is open");
        drop(open);
        let began = Instant::now();
        idle(&mut seen).await;
        assert_eq!(began.elapsed(), IDLE_TIME);
    }
}
