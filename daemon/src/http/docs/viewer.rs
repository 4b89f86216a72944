//! The page.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use serde_json::Value;

use crate::http::api::Api;

/// The page may load what this address has and ask this address, and nobody may put it into a
/// page of theirs.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The document and the page.
pub(in crate::http) fn router(document: &Value) -> Router<Api> {
    let json = Bytes::from(document.to_string());
    Router::new()
        .route("/openapi.json", file("application/json", json))
        .route("/docs", text(HTML, include_str!("viewer/index.html")))
        .route("/docs/viewer.css", text(STYLE, include_str!("viewer/viewer.css")))
        .route("/docs/viewer.js", text(SCRIPT, include_str!("viewer/viewer.js")))
        .route("/docs/call.js", text(SCRIPT, include_str!("viewer/call.js")))
        .route(
            "/docs/element.js",
            text(SCRIPT, include_str!("viewer/element.js")),
        )
        .route("/docs/schema.js", text(SCRIPT, include_str!("viewer/schema.js")))
}

fn text(content_type: &'static str, text: &'static str) -> MethodRouter<Api> {
    file(content_type, Bytes::from_static(text.as_bytes()))
}

fn file(content_type: &'static str, content: Bytes) -> MethodRouter<Api> {
    get(move || {
        let content = content.clone();
        async move { answer(content_type, content) }
    })
}

fn answer(content_type: &'static str, content: Bytes) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_TYPE, content_type);
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "no-referrer");
    // Another version of the program has another page.
    set(header::CACHE_CONTROL, "no-cache");
    (headers, content).into_response()
}
