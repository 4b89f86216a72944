//! Answers that come piece by piece.

use std::convert::Infallible;
use std::time::Duration;

use airunner_core::Fault;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use serde_json::{Value, json};

use super::family::Family;

const LINES: &str = "application/x-ndjson";
const EVENTS: &str = "text/event-stream";

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
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(LINES));
    unbuffered(&mut response);
    response
}

/// How a stream says that it does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Lines(Family),
    Events(Family),
    /// Of an answer of OpenAI's responses, all of whose events have a type.
    Responses,
}

impl Form {
    /// Of what this family answers at that path; `None`: it is no stream.
    pub(super) fn of(family: Family, path: &str, answered: &Response) -> Option<Self> {
        let kind = answered.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        if kind.starts_with(LINES) {
            Some(Self::Lines(family))
        } else if !kind.starts_with(EVENTS) {
            None
        } else if family == Family::OpenAi && path.starts_with("/v1/responses") {
            Some(Self::Responses)
        } else {
            Some(Self::Events(family))
        }
    }

    /// The last piece. What came before is complete.
    pub(super) fn last_words(self, fault: &Fault) -> Bytes {
        let (name, mut body) = match self {
            Self::Lines(family) => return format!("{}\n", family.error(fault)).into(),
            Self::Events(family) => {
                let name = (family != Family::OpenAi).then_some("error");
                (name, family.error(fault))
            }
            Self::Responses => (Some("error"), Family::OpenAi.error(fault)["error"].take()),
        };
        let typed = matches!(self, Self::Responses | Self::Events(Family::Native));
        if let (true, Value::Object(fields)) = (typed, &mut body) {
            fields.insert("type".to_owned(), json!("error"));
        }
        let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
        format!("{name}data: {body}\n\n").into()
    }
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

#[cfg(test)]
mod tests {
    use airunner_core::ErrorKind;
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn every_family_hears_of_an_early_end_in_its_own_way() {
        let fault = Fault::new(ErrorKind::Unauthenticated, "gone");
        let answered = |kind: &'static str| ([(header::CONTENT_TYPE, kind)], "").into_response();
        for (path, kind, begins, pointer) in [
            ("/v1/chat/completions", EVENTS, "data: {", "/error/code"),
            ("/v1/responses", EVENTS, "event: error\ndata: {", "/code"),
            ("/v1/messages", EVENTS, "event: error\ndata: {", "/error/type"),
            ("/api/v1/events", EVENTS, "event: error\ndata: {", "/error/reason"),
            ("/api/chat", LINES, "{", "/error"),
        ] {
            let family = Family::of(path, &HeaderMap::new());
            let form = Form::of(family, path, &answered(kind)).unwrap();
            let words = form.last_words(&fault);
            let text = std::str::from_utf8(&words).unwrap();
            assert!(text.starts_with(begins), "{path}: {text}");
            let json: Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
            assert!(
                json.pointer(pointer).is_some_and(Value::is_string),
                "{path}: {json}"
            );
            let typed = path != "/v1/chat/completions" && kind == EVENTS;
            assert_eq!(json["type"] == "error", typed, "{path}: {json}");
        }
        let whole = answered("application/json");
        assert_eq!(Form::of(Family::OpenAi, "/v1/models", &whole), None);
    }
}
