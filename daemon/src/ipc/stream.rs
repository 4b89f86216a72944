//! Streams of domain events as streams of messages.

use std::pin::Pin;

use airunner_core::Fault;
use airunner_proto::convert::status_from_fault;
use futures_util::StreamExt as _;
use tokio_stream::Stream;
use tonic::{Response, Status};

/// What a streaming handler answers with.
pub(super) type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

pub(super) fn events<T, W>(
    events: impl Stream<Item = Result<T, Fault>> + Send + 'static,
) -> Result<Response<Events<W>>, Status>
where
    T: 'static,
    W: From<T> + 'static,
{
    Ok(Response::new(Box::pin(
        events.map(|event| event.map(W::from).map_err(status)),
    )))
}

pub(super) fn status(fault: Fault) -> Status {
    status_from_fault(&fault)
}
