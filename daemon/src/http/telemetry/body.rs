//! The body of an answer, watched until its end.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};

/// Hands everything on, and calls `ended` with the number of bytes when it is sent, or when
/// nobody wants it any more.
pub(super) struct Watched<F: FnOnce(u64)> {
    body: Body,
    bytes: u64,
    ended: Option<F>,
}

impl<F: FnOnce(u64)> Watched<F> {
    pub(super) const fn new(body: Body, ended: F) -> Self {
        Self {
            body,
            bytes: 0,
            ended: Some(ended),
        }
    }
}

impl<F: FnOnce(u64) + Unpin> HttpBody for Watched<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.bytes += data.len() as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<F: FnOnce(u64)> Drop for Watched<F> {
    fn drop(&mut self) {
        if let Some(ended) = self.ended.take() {
            ended(self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn bytes_are_counted_and_nothing_is_changed() {
        let seen = Arc::new(AtomicU64::new(u64::MAX));
        let noted = Arc::clone(&seen);
        let body = Watched::new(Body::from("hello"), move |bytes| {
            noted.store(bytes, Ordering::SeqCst);
        });
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(Body::new(body).collect().await.unwrap().to_bytes(), "hello");
        assert_eq!(seen.load(Ordering::SeqCst), 5);
    }

    #[test]
    fn an_answer_that_nobody_waits_for_ends_as_well() {
        let seen = Arc::new(AtomicU64::new(u64::MAX));
        let noted = Arc::clone(&seen);
        drop(Watched::new(Body::from("hello"), move |bytes| {
            noted.store(bytes, Ordering::SeqCst);
        }));
        assert_eq!(seen.load(Ordering::SeqCst), 0);
    }
}
