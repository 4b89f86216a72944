//! The layer around everything.

use airunner_core::ErrorKind;
use airunner_core::access::Caller;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::body::Watched;
use super::trace::Trace;
use super::{identity, trace};
use crate::http::family::Family;
use crate::metrics::{self, Metrics, Open};
use crate::traces::{Asking, Tracer, within};

/// Where nothing is.
const UNKNOWN: &str = "unknown";
/// Asked so often that only the numbers of it are told.
const PROBES: [&str; 5] = ["/health", "/live", "/ready", "/version", "/metrics"];

/// The status, of no standard but of many logs, of a request whose client left before its answer.
const GONE: u16 = 499;

/// What the layer writes to.
#[derive(Clone)]
pub(in crate::http) struct Observer {
    pub(in crate::http) metrics: Metrics,
    pub(in crate::http) tracer: Tracer,
}

/// Gives every request a name, counts it and tells of it once its answer has ended.
pub(in crate::http) async fn observe(
    State(observer): State<Observer>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = identity::of(request.headers());
    let given = Trace::given(request.headers());
    let asking = begin(&observer.tracer, &request, given);
    let place = asking.as_ref().map(Asking::place);
    let trace = place.map(Trace::from).or_else(|| given.map(Trace::continued));
    let seen = Seen {
        asking,
        ..Seen::new(&observer.metrics, &request, &id, trace)
    };
    let family = seen.family;
    let span = tracing::debug_span!("request", id = %seen.id, trace = seen.trace);
    let pending = Pending(Some(seen));
    // Whoever asks somebody else on behalf of this request names it, and its place in the trace.
    request.headers_mut().insert(identity::HEADER, id.clone());
    if let Some(header) = trace.and_then(|trace| trace.header()) {
        request.headers_mut().insert(trace::HEADER, header);
    }
    let mut response = within(place, next.run(request).instrument(span)).await;
    let headers = response.headers_mut();
    if family == Family::Anthropic {
        headers.insert(identity::ANTHROPIC_HEADER, id.clone());
    }
    headers.insert(identity::HEADER, id);
    pending.watch(response)
}

/// Tells who collects traces, but for what is asked all the time.
fn begin(tracer: &Tracer, request: &Request, given: Option<Trace>) -> Option<Asking> {
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map_or(UNKNOWN, MatchedPath::as_str);
    if PROBES.contains(&route) {
        return None;
    }
    tracer.asking(given.map(Into::into), method_name(request.method()), route)
}

/// A request whose answer has not begun. It ends as well if its client does not wait for that.
struct Pending(Option<Seen>);

impl Pending {
    fn watch(mut self, response: Response) -> Response {
        match self.0.take() {
            Some(seen) => seen.watch(response),
            None => response,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(seen) = self.0.take() {
            seen.end(GONE, None, 0);
        }
    }
}

/// A request under way.
struct Seen {
    metrics: Metrics,
    open: Open,
    family: Family,
    method: Method,
    route: Option<MatchedPath>,
    id: String,
    trace: Option<String>,
    since: Instant,
    asking: Option<Asking>,
}

impl Seen {
    fn new(metrics: &Metrics, request: &Request, id: &HeaderValue, trace: Option<Trace>) -> Self {
        Self {
            metrics: metrics.clone(),
            open: metrics.open_request(),
            family: Family::of(request.uri().path(), request.headers()),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            id: id.to_str().unwrap_or_default().to_owned(),
            trace: trace.map(|trace| trace.id()),
            since: Instant::now(),
            asking: None,
        }
    }

    fn watch(self, response: Response) -> Response {
        let status = response.status().as_u16();
        if let Some(kind) = response.extensions().get::<ErrorKind>() {
            self.metrics.refused(self.family.as_str(), *kind);
        }
        let caller = response.extensions().get::<Caller>();
        let key = caller.map(|caller| caller.name.clone());
        let (parts, body) = response.into_parts();
        let body = Watched::new(body, move |bytes| self.end(status, key.as_deref(), bytes));
        Response::from_parts(parts, Body::new(body))
    }

    fn end(self, status: u16, key: Option<&str>, bytes: u64) {
        let took = self.since.elapsed();
        let route = self.route.as_ref().map_or(UNKNOWN, MatchedPath::as_str);
        self.metrics.answered(&metrics::Request {
            family: self.family.as_str(),
            method: method_name(&self.method),
            route,
            status,
            took,
            bytes,
        });
        drop(self.open);
        if let Some(asking) = self.asking {
            asking.end(self.family.as_str(), status, bytes, self.id.clone());
        }
        let milliseconds = took.as_secs_f64() * 1e3;
        let (method, id, trace) = (method_name(&self.method), self.id, self.trace);
        if PROBES.contains(&route) {
            tracing::debug!(
                method,
                route,
                status,
                milliseconds,
                bytes,
                key,
                id,
                trace,
                "answered"
            );
        } else {
            tracing::info!(
                method,
                route,
                status,
                milliseconds,
                bytes,
                key,
                id,
                trace,
                "answered"
            );
        }
    }
}

/// A stranger can make up methods.
pub(in crate::http) fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use futures_util::FutureExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::metrics::Picture;

    #[tokio::test]
    async fn a_request_whose_client_left_before_the_answer_is_counted() {
        let metrics = Metrics::default();
        let observer = Observer {
            metrics: metrics.clone(),
            tracer: Tracer::default(),
        };
        let router = Router::new()
            .route("/slow", get(std::future::pending::<()>))
            .layer(from_fn_with_state(observer, observe));
        let request = Request::get("/slow").body(Body::empty()).unwrap();
        assert!(router.oneshot(request).now_or_never().is_none());
        let text = metrics.text(&Picture::default());
        assert!(text.contains(r#"route="/slow",status="499"} 1"#), "{text}");
    }
}
