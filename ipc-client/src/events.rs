//! Streams of domain events.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use airunner_core::{ErrorKind, Fault};
use tokio_stream::{Stream, StreamExt as _};
use tonic::Streaming;

use crate::channel::fault;

type Inner<T> = Pin<Box<dyn Stream<Item = Result<T, Fault>> + Send>>;

/// The events of one call, in order. After the last event or an error there are no more.
/// Dropping it cancels the call.
pub struct Events<T> {
    inner: Inner<T>,
    is_last: fn(&T) -> bool,
    ended: bool,
}

impl<T> Events<T> {
    pub(crate) fn new<W>(wire: Streaming<W>, is_last: fn(&T) -> bool) -> Self
    where
        W: Send + 'static,
        T: TryFrom<W, Error = Fault> + 'static,
    {
        let events = wire.map(|item| item.map_err(|status| fault(&status)).and_then(T::try_from));
        Self::of(Box::pin(events), is_last)
    }

    fn of(inner: Inner<T>, is_last: fn(&T) -> bool) -> Self {
        Self {
            inner,
            is_last,
            ended: false,
        }
    }

    /// The next event; `None` after the last. Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<T, Fault>> {
        tokio_stream::StreamExt::next(self).await
    }
}

impl<T> Stream for Events<T> {
    type Item = Result<T, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let Poll::Ready(item) = self.inner.as_mut().poll_next(context) else {
            return Poll::Pending;
        };
        // A stream that just stops before its last event is a daemon that went away.
        let item = item.unwrap_or_else(|| Err(ended_early()));
        self.ended = match &item {
            Ok(event) => (self.is_last)(event),
            Err(_) => true,
        };
        Poll::Ready(Some(item))
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

fn ended_early() -> Fault {
    Fault::new(
        ErrorKind::DaemonNotRunning,
        "the daemon ended before its answer was complete; start it with: airunner start",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(items: Vec<Result<u32, Fault>>) -> Events<u32> {
        Events::of(Box::pin(tokio_stream::iter(items)), |&event| event == 9)
    }

    async fn all(mut events: Events<u32>) -> Vec<Result<u32, ErrorKind>> {
        let mut seen = Vec::new();
        while let Some(item) = events.next().await {
            seen.push(item.map_err(|fault| fault.kind));
        }
        seen
    }

    #[tokio::test]
    async fn the_last_event_ends_it() {
        assert_eq!(all(events(vec![Ok(1), Ok(9), Ok(2)])).await, [Ok(1), Ok(9)]);
    }

    #[tokio::test]
    async fn an_error_ends_it() {
        let items = vec![Ok(1), Err(Fault::new(ErrorKind::WorkerCrashed, "x")), Ok(2)];
        assert_eq!(all(events(items)).await, [Ok(1), Err(ErrorKind::WorkerCrashed)]);
    }

    #[tokio::test]
    async fn a_stream_cut_short_is_an_error() {
        assert_eq!(
            all(events(vec![Ok(1)])).await,
            [Ok(1), Err(ErrorKind::DaemonNotRunning)]
        );
    }
}
