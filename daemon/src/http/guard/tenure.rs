//! An answer that ends with the key it was asked for with.

use std::pin::Pin;
use std::task::{Context, Poll};

use airunner_core::Fault;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};

use crate::http::stream::Form;

/// Resolves when the key is lost.
pub(super) type Lost = Pin<Box<dyn Future<Output = Fault> + Send>>;

/// A stream, which ends early with an error that its client understands. Whoever makes it stops
/// then, since nobody takes it any more.
struct Tenured {
    body: Body,
    lost: Lost,
    form: Form,
    is_over: bool,
}

/// Ends a stream once the key is lost. Whole answers are made already, and are sent.
pub(super) fn bind(response: Response, lost: Lost, form: Option<Form>) -> Response {
    let Some(form) = form else { return response };
    response.map(|body| {
        Body::new(Tenured {
            body,
            lost,
            form,
            is_over: false,
        })
    })
}

impl HttpBody for Tenured {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let Poll::Ready(fault) = self.lost.as_mut().poll(context) else {
            return Pin::new(&mut self.body).poll_frame(context);
        };
        tracing::info!(reason = %fault.kind, "the key of a stream is gone: it ends");
        self.is_over = true;
        self.body = Body::empty();
        Poll::Ready(Some(Ok(Frame::data(self.form.last_words(&fault)))))
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        // How much comes is not known.
        SizeHint::default()
    }
}

#[cfg(test)]
mod tests {
    use airunner_core::ErrorKind;
    use axum::http::header;
    use axum::response::IntoResponse as _;
    use futures_util::{FutureExt as _, StreamExt as _, stream};
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;

    use super::*;
    use crate::http::family::Family;

    #[tokio::test]
    async fn a_stream_ends_with_its_key_and_so_does_its_making() {
        let (made, mut making) = oneshot::channel::<()>();
        let pieces = stream::iter(["data: 1\n\n"]).chain(stream::once(async move {
            // Never made, and dropped with the stream.
            std::future::pending::<()>().await;
            drop(made);
            ""
        }));
        let body = Body::from_stream(pieces.map(Ok::<_, std::convert::Infallible>));
        let response = ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response();
        let form = Form::of(Family::OpenAi, "/v1/chat/completions", &response);
        let (revoke, revoked) = oneshot::channel::<Fault>();
        let lost = Box::pin(revoked.map(|fault| fault.unwrap()));
        let mut body = bind(response, lost, form).into_body();
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(first, "data: 1\n\n");
        assert!(body.frame().now_or_never().is_none());
        let fault = Fault::new(ErrorKind::Unauthenticated, "the key is gone");
        revoke.send(fault).unwrap();
        let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
        let text = std::str::from_utf8(&last).unwrap();
        assert!(
            text.starts_with("data: {\"error\":") && text.ends_with("\n\n"),
            "{text}"
        );
        assert!(body.frame().await.is_none());
        assert!(making.try_recv().is_err(), "it is given up");
    }
}
