//! One connection, from the first byte to the last.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use hyper::body::{Frame, Incoming, SizeHint};
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
use crate::http::guard::Connection;

/// How long a client may take to send the head of a request, and to greet before it; and how
/// long a connection of HTTP/1 may be idle.
const HEAD_TIME: Duration = Duration::from_secs(15);
/// How long a connection of HTTP/2 may be idle.
const IDLE_TIME: Duration = Duration::from_secs(300);
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
            let stream = Patient::new(stream, reader_timeout, Some(room));
            let Some(encryption) = encryption else {
                return converse(stream, by, router, watcher).await;
            };
            match timeout(HEAD_TIME, encryption.accept(stream)).await {
                Ok(Ok(stream)) => converse(stream, by, router, watcher).await,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a client could not be agreed with about encryption")
                }
                Err(_) => tracing::debug!("a client took too long to agree about encryption"),
            }
        }
    }
}

async fn converse<S>(stream: S, by: Connection, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (activity, mut seen) = watch::channel(Activity::default());
    let activity = Arc::new(activity);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(by);
        let (router, open) = (router.clone(), Open::new(&activity));
        async move {
            let response = router.oneshot(request).await?;
            Ok::<_, Infallible>(response.map(|body| Body::new(Counted { body, _open: open })))
        }
    });
    let builder = builder();
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    let mut connection = pin!(watcher.watch(connection));
    tokio::select! {
        ended = &mut connection => {
            if let Err(error) = ended {
                tracing::debug!(error, "a connection ended badly");
            }
        }
        () = idle(&mut seen) => tracing::debug!("a connection was idle for too long"),
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

/// What happens on a connection.
#[derive(Clone, Copy, Debug, Default)]
struct Activity {
    begun: bool,
    /// Requests that are not yet answered completely.
    open: usize,
}

/// A request that is open.
struct Open(Arc<watch::Sender<Activity>>);

impl Open {
    fn new(activity: &Arc<watch::Sender<Activity>>) -> Self {
        activity.send_modify(|activity| {
            activity.begun = true;
            activity.open += 1;
        });
        Self(Arc::clone(activity))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|activity| activity.open -= 1);
    }
}

/// An answer during which its connection is not idle.
struct Counted {
    body: Body,
    _open: Open,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
        let (activity, mut seen) = watch::channel(Activity::default());
        let activity = Arc::new(activity);
        let began = Instant::now();
        idle(&mut seen).await;
        assert_eq!(began.elapsed(), HEAD_TIME, "nothing was ever asked");
        let open = Open::new(&activity);
        let long = HEAD_TIME + IDLE_TIME * 3;
        assert!(timeout(long, idle(&mut seen)).await.is_err(), "a request is open");
        drop(open);
        let began = Instant::now();
        idle(&mut seen).await;
        assert_eq!(began.elapsed(), IDLE_TIME);
    }
}
