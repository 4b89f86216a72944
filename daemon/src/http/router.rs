//! All routes.

use airunner_core::{ErrorKind, Fault};
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::api::Api;
use super::docs::{self, Document};
use super::failure::Failure;
use super::family::Family;
use super::guard::{self, Guard};
use super::telemetry::Observer;
use super::{anthropic, family, native, ollama, openai, telemetry};

/// Everything that answers, and its description.
pub(super) fn routes() -> (Router<Api>, Value) {
    let families = [
        (Family::Native, native::router().merge(telemetry::router())),
        (Family::OpenAi, openai::router()),
        (Family::Ollama, ollama::router()),
        (Family::Anthropic, anthropic::router()),
    ];
    let (mut routes, mut document) = (Router::new(), Document::new());
    for (family, router) in families {
        let (family_routes, described) = router.split_for_parts();
        routes = routes.merge(family_routes);
        document.add(family, &described);
    }
    (routes, document.finish())
}

/// What a connection is served by.
pub(super) fn router(api: Api, guard: Guard) -> Router {
    let (routes, document) = routes();
    let observer = Observer {
        metrics: api.usage.metrics().clone(),
        tracer: api.tracer.clone(),
    };
    routes
        .merge(docs::router(&document))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(guard, guard::guard))
        .layer(from_fn(family::render))
        .layer(from_fn_with_state(observer, telemetry::observe))
        .with_state(api)
}

async fn unknown() -> Failure {
    Failure(Fault::new(
        ErrorKind::NotFound,
        "there is nothing at this path: /docs lists what there is",
    ))
}

async fn wrong_method() -> Response {
    let mut response = Failure(Fault::invalid("this path does not answer to this method")).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
