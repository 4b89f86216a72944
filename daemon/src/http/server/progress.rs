//! The answers of one connection on their way, and whether their client takes them.
//!
//! Over HTTP/1 a client that takes nothing is seen where the bytes are written. Over HTTP/2 it
//! may take everything but the bodies of answers, for which it makes no room: nobody asks such a
//! body for its next piece. A body that was not asked for too long is given up, and with it
//! whatever makes it.

use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use http_body::{Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Largest piece that is handed out at once, so that one asked for is one that there is room for.
const PIECE: usize = 64 << 10;
/// How often in the time that a client may take nothing it is looked whether it does.
const LOOKS: u32 = 4;

/// Bodies remembered before those that are gone are forgotten; more than may be open at once.
const REMEMBERED: usize = 256;

/// What happens on a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Activity {
    pub(super) begun: bool,
    /// Requests that are not yet answered completely.
    pub(super) open: usize,
}

/// All answers of a connection.
#[derive(Clone)]
pub(super) struct Answers(Arc<Inner>);

struct Inner {
    activity: watch::Sender<Activity>,
    /// Those over HTTP/2. Held for a look only.
    bodies: Mutex<Vec<Weak<Mutex<Stage>>>>,
}

/// A request that is open, until it is dropped.
pub(super) struct Open(Answers);

impl Answers {
    pub(super) fn new() -> (Self, watch::Receiver<Activity>) {
        let (activity, seen) = watch::channel(Activity::default());
        let bodies = Mutex::default();
        (Self(Arc::new(Inner { activity, bodies })), seen)
    }

    /// One more.
    pub(super) fn open(&self) -> Open {
        self.0.activity.send_modify(|activity| {
            activity.begun = true;
            activity.open += 1;
        });
        Open(self.clone())
    }

    /// Gives up bodies of which nothing was taken for so long. Resolves when no other is left.
    pub(super) fn stalls(&self, patience: Duration) -> impl Future<Output = ()> + Send + use<> {
        // Whoever waits must not keep the connection's end from being seen.
        let (inner, mut seen) = (Arc::downgrade(&self.0), self.0.activity.subscribe());
        async move {
            let mut gave_up = false;
            while gave_up || seen.wait_for(|activity| activity.open > 0).await.is_ok() {
                sleep(patience / LOOKS).await;
                let Some(inner) = inner.upgrade() else { break };
                gave_up |= inner.give_up(patience);
                if gave_up && inner.activity.borrow().open == 0 {
                    return;
                }
            }
            std::future::pending().await
        }
    }
}

impl Inner {
    fn add(&self, body: &Arc<Mutex<Stage>>) {
        let mut bodies = lock(&self.bodies);
        if bodies.len() >= REMEMBERED {
            bodies.retain(|body| body.strong_count() > 0);
        }
        bodies.push(Arc::downgrade(body));
    }

    /// True if there was one.
    fn give_up(&self, patience: Duration) -> bool {
        let mut bodies = Vec::new();
        lock(&self.bodies).retain(|body| match body.upgrade() {
            Some(body) => {
                bodies.push(body);
                true
            }
            None => false,
        });
        let stalled = |body: &Arc<Mutex<Stage>>| {
            let mut stage = lock(body);
            let is_stalled = matches!(&*stage, Stage::Goes(going) if going.is_stalled(patience));
            let ended = is_stalled.then(|| mem::replace(&mut *stage, Stage::GivenUp));
            drop(stage);
            ended.is_some()
        };
        bodies.iter().filter(|body| stalled(body)).count() > 0
    }
}

impl Open {
    /// A body that counts as open until its end.
    pub(super) fn watch(self, version: Version, body: Body) -> Body {
        let going = Going {
            body,
            rest: Bytes::new(),
            untouched_since: Some(Instant::now()),
            open: self,
        };
        if version != Version::HTTP_2 {
            return Body::new(going);
        }
        let answers = going.open.0.clone();
        let stage = Arc::new(Mutex::new(Stage::Goes(going)));
        answers.0.add(&stage);
        Body::new(Watched(stage))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.activity.send_modify(|activity| activity.open -= 1);
    }
}

/// A body under way.
struct Going {
    body: Body,
    /// Of a piece that was too large.
    rest: Bytes,
    /// When its client was given something last; `None` while it waits for more.
    untouched_since: Option<Instant>,
    open: Open,
}

impl Going {
    fn is_stalled(&self, patience: Duration) -> bool {
        self.untouched_since
            .is_some_and(|since| since.elapsed() >= patience)
    }

    fn cut(&mut self, mut data: Bytes) -> Frame<Bytes> {
        self.rest = data.split_off(data.len().min(PIECE));
        Frame::data(data)
    }
}

impl HttpBody for Going {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            self.untouched_since = Some(Instant::now());
            let rest = mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(self.cut(rest))));
        }
        self.untouched_since = None;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.untouched_since = Some(Instant::now());
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(match frame.into_data() {
                Ok(data) => self.cut(data),
                Err(frame) => frame,
            })),
            other => other,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(inner.lower().saturating_add(rest));
        hint
    }
}

/// Where a body over HTTP/2 stands.
enum Stage {
    Goes(Going),
    GivenUp,
}

/// A body that can be given up from outside.
struct Watched(Arc<Mutex<Stage>>);

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut *lock(&self.0) {
            Stage::Goes(going) => Pin::new(going).poll_frame(context),
            Stage::GivenUp => Poll::Ready(Some(Err(axum::Error::new(GivenUp)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &*lock(&self.0) {
            Stage::Goes(going) => going.is_end_stream(),
            Stage::GivenUp => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.0) {
            Stage::Goes(going) => going.size_hint(),
            Stage::GivenUp => SizeHint::default(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("nothing of this answer was taken for too long")]
struct GivenUp;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A body that tells when it is dropped.
    fn held() -> (Body, oneshot::Receiver<()>) {
        let (held, given_up) = oneshot::channel::<()>();
        let pieces = futures_util::stream::repeat_with(move || {
            let _ = &held;
            Ok::<_, std::convert::Infallible>("piece")
        });
        (Body::from_stream(pieces), given_up)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_takes_is_given_up() {
        let (answers, seen) = Answers::new();
        let (body, given_up) = held();
        let mut body = answers.open().watch(Version::HTTP_2, body);
        let mut stalls = std::pin::pin!(answers.stalls(PATIENCE));
        for _ in 0..4 {
            assert!(timeout(PATIENCE / 2, &mut stalls).await.is_err());
            body.frame().await.unwrap().unwrap();
        }
        let began = Instant::now();
        stalls.await;
        assert!(began.elapsed() >= PATIENCE && began.elapsed() < PATIENCE * 2);
        assert!(given_up.await.is_err());
        assert_eq!(seen.borrow().open, 0);
        assert!(body.frame().await.unwrap().is_err(), "it does not look complete");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_waits_for_its_maker_and_one_that_is_taken_stay() {
        let (answers, _seen) = Answers::new();
        let silent = Body::from_stream(futures_util::stream::pending::<Result<Bytes, axum::Error>>());
        let mut silent = answers.open().watch(Version::HTTP_2, silent);
        assert!(silent.frame().now_or_never().is_none());
        let (stalled, given_up) = held();
        let _stalled = answers.open().watch(Version::HTTP_2, stalled);
        let mut stalls = std::pin::pin!(answers.stalls(PATIENCE));
        assert!(timeout(PATIENCE * 9, &mut stalls).await.is_err(), "one is left");
        assert!(given_up.await.is_err());
        assert!(silent.frame().now_or_never().is_none());
        drop(silent);
        stalls.await;
    }

    #[tokio::test]
    async fn large_pieces_come_in_parts_and_whole() {
        let (answers, seen) = Answers::new();
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let text = vec![7; PIECE * 2 + 1];
            let mut body = answers.open().watch(version, Body::from(text.clone()));
            assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
            let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(first.len(), PIECE);
            assert!(!body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some((PIECE + 1) as u64));
            let rest = body.collect().await.unwrap().to_bytes();
            assert_eq!(first.len() + rest.len(), text.len());
        }
        assert_eq!(seen.borrow().open, 0);
    }
}
