//! The four languages, and how each says that something went wrong.

use airunner_core::access::Caller;
use airunner_core::{ErrorKind, Fault};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::failure::{Failure, status};
use super::paths;

/// A family of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Native,
    OpenAi,
    Ollama,
    Anthropic,
}

impl Family {
    /// Whose path it is. Clients of Anthropic say so with every request, and share `/v1/models`
    /// with those of OpenAI.
    pub(super) fn of(path: &str, headers: &HeaderMap) -> Self {
        let below = |prefix: &str| {
            path.strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/api/v1") {
            Self::Native
        } else if below("/api") {
            Self::Ollama
        } else if below("/v1/messages") || (below("/v1") && headers.contains_key("anthropic-version")) {
            Self::Anthropic
        } else if below("/v1") {
            Self::OpenAi
        } else {
            Self::Native
        }
    }

    /// For logs, numbers and descriptions.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::OpenAi => "openai",
            Self::Ollama => "ollama",
            Self::Anthropic => "anthropic",
        }
    }

    /// The body of an error.
    pub(super) fn error(self, fault: &Fault) -> Value {
        self.error_with(fault, status(fault))
    }

    /// The body of an error that is sent with a status of its own.
    fn error_with(self, fault: &Fault, status: StatusCode) -> Value {
        let message = public_message(fault);
        match self {
            Self::Native => native(fault, &message),
            Self::OpenAi => json!({"error": {
                "message": message,
                "type": openai_type(status.as_u16()),
                "param": fault.figures.get("param"),
                "code": fault.figures.get("code").map_or(fault.kind.reason(), String::as_str),
            }}),
            Self::Ollama => json!({"error": message}),
            Self::Anthropic => json!({"type": "error", "error": {
                "type": anthropic_type(status.as_u16()),
                "message": message,
            }}),
        }
    }

    fn response_with(self, fault: &Fault, status: StatusCode) -> Response {
        let mut response = (status, axum::Json(self.error_with(fault, status))).into_response();
        if let Some(wait) = fault.retry_after {
            // Whole seconds, and never "at once", which would only make the caller hurry.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

fn native(fault: &Fault, message: &str) -> Value {
    let mut error = json!({"reason": fault.kind.reason(), "message": message});
    if let Some(wait) = fault.retry_after {
        error["retry_after_ms"] = json!(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    }
    if !fault.figures.is_empty() {
        error["figures"] = json!(fault.figures);
    }
    json!({"error": error})
}

/// What may leave the machine: defects and damage are told in the log, which has the paths.
pub(super) fn public_message(fault: &Fault) -> String {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "all others are written for callers"
    )]
    match fault.kind {
        ErrorKind::Internal => "something went wrong inside: see the log of the daemon".to_owned(),
        ErrorKind::StorageUnusable => "the database cannot be used: see the log of the daemon".to_owned(),
        ErrorKind::InvalidConfig => "a setting is wrong: see the log of the daemon".to_owned(),
        ErrorKind::RuntimeMissing => "ONNX Runtime is missing: run `airunner doctor`".to_owned(),
        _ => paths::without(&fault.message),
    }
}

fn openai_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        _ => "server_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 507 => "overloaded_error",
        408 | 504 => "timeout_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// Writes what went wrong in the language of who asked.
pub(super) async fn render(request: Request, next: Next) -> Response {
    let family = Family::of(request.uri().path(), request.headers());
    let mut response = next.run(request).await;
    let Some(Failure(fault)) = response.extensions_mut().remove::<Failure>() else {
        return response;
    };
    if fault.kind.http_status() >= 500 {
        tracing::warn!(reason = %fault.kind, "request failed: {fault}");
    } else {
        // What is wrong with a request is told with its words, which no log may hold.
        tracing::debug!(reason = %fault.kind, "request refused");
    }
    // A status set on purpose, such as 405, stays, and so do headers such as Allow.
    let status = match response.status() {
        StatusCode::OK => status(&fault),
        set => set,
    };
    let mut rendered = family.response_with(&fault, status);
    // For those who count.
    rendered.extensions_mut().insert(fault.kind);
    if let Some(caller) = response.extensions_mut().remove::<Caller>() {
        rendered.extensions_mut().insert(caller);
    }
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().append(name, value.clone());
        }
    }
    rendered
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// A log that can be read.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .map_err(|_| io::Error::other("poisoned"))?
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn the_words_of_a_refused_request_are_told_to_its_caller_and_not_to_the_log() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        let _default = tracing::subscriber::set_default(subscriber);
        let refuse = || async {
            let error = crate::http::payload::decode::<u32>(br#""my secret prompt""#).unwrap_err();
            let mut response = Failure(error).into_response();
            response.extensions_mut().insert(Caller::local());
            response
        };
        let router = Router::new().route("/", get(refuse)).layer(from_fn(render));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(
            response.extensions().get::<Caller>().unwrap().name,
            Caller::local().name
        );
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        assert!(String::from_utf8_lossy(&body).contains("secret prompt"));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(
            log.contains("invalid_argument") && !log.contains("secret"),
            "{log}"
        );
    }

    #[test]
    fn a_path_belongs_to_one_family() {
        let none = HeaderMap::new();
        for (path, family) in [
            ("/api/v1/llm/chat", Family::Native),
            ("/api/v1", Family::Native),
            ("/health", Family::Native),
            ("/api/v1x", Family::Ollama),
            ("/api/chat", Family::Ollama),
            ("/v1/chat/completions", Family::OpenAi),
            ("/v1/messages", Family::Anthropic),
            ("/v1/messages/count_tokens", Family::Anthropic),
            ("/v1/messagesx", Family::OpenAi),
        ] {
            assert_eq!(Family::of(path, &none), family, "{path}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        assert_eq!(Family::of("/v1/models", &headers), Family::Anthropic);
    }

    #[test]
    fn every_family_says_it_in_its_own_form() {
        let fault = Fault::new(ErrorKind::QueueFull, "too many wait").retry_after(Duration::from_millis(200));
        assert_eq!(Family::OpenAi.error(&fault)["error"]["type"], "rate_limit_error");
        assert_eq!(Family::OpenAi.error(&fault)["error"]["code"], "queue_full");
        assert_eq!(Family::Ollama.error(&fault), json!({"error": "too many wait"}));
        assert_eq!(
            Family::Anthropic.error(&fault)["error"]["type"],
            "rate_limit_error"
        );
        assert_eq!(Family::Native.error(&fault)["error"]["retry_after_ms"], 200);
        for family in [Family::Native, Family::OpenAi, Family::Ollama, Family::Anthropic] {
            let response = family.response_with(&fault, status(&fault));
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        }
    }

    #[test]
    fn the_kind_of_an_error_is_that_of_the_status_that_is_sent() {
        let fault = Fault::invalid("too much");
        for (status, kind) in [
            (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
            (StatusCode::REQUEST_TIMEOUT, "timeout_error"),
            (StatusCode::BAD_REQUEST, "invalid_request_error"),
        ] {
            let body = Family::Anthropic.error_with(&fault, status);
            assert_eq!(body["error"]["type"], kind);
        }
        let named = fault.figure("code", "previous_response_not_found");
        assert_eq!(
            Family::OpenAi.error(&named)["error"]["code"],
            "previous_response_not_found"
        );
    }

    #[test]
    fn defects_do_not_tell_paths() {
        let fault = Fault::internal("cannot read /home/somebody/secret");
        for family in [Family::Native, Family::OpenAi, Family::Ollama, Family::Anthropic] {
            assert!(!family.error(&fault).to_string().contains("secret"));
        }
    }
}
