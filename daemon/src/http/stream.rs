//! Answers that come piece by piece.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;

/// Proxies close what is silent for a minute, and some for half of one.
const PING: Duration = Duration::from_secs(15);

/// Server-sent events, with `ping` in every pause.
pub(super) fn events(events: impl Stream<Item = Event> + Send + 'static, ping: Event) -> Response {
    let stream = events.map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(PING).event(ping);
    let mut response = Sse::new(stream).keep_alive(keep_alive).into_response();
    unbuffered(&mut response);
    response
}

/// A ping that clients do not see.
pub(super) fn silent_ping() -> Event {
    Event::default().comment("")
}

/// One event of JSON, without a name.
pub(super) fn data(value: &impl Serialize) -> Event {
    // A value of our own types always becomes JSON.
    Event::default().data(serde_json::to_string(value).unwrap_or_default())
}

/// One event of JSON, with a name.
pub(super) fn named(name: &str, value: &impl Serialize) -> Event {
    data(value).event(name)
}

/// Lines of JSON.
pub(super) fn lines<T: Serialize>(values: impl Stream<Item = T> + Send + 'static) -> Response {
    let lines = values.map(|value| {
        let mut line = serde_json::to_vec(&value).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, Infallible>(Bytes::from(line))
    });
    let mut response = Body::from_stream(lines).into_response();
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    unbuffered(&mut response);
    response
}

/// Asks proxies to pass every piece on at once.
fn unbuffered(response: &mut Response) {
    response.headers_mut().insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
}
