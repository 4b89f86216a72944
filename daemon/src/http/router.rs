//! All routes.

use airunner_core::access::Caller;
use airunner_core::{ErrorKind, Fault};
use axum::http::StatusCode;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use super::api::Api;
use super::failure::Failure;
use super::{anthropic, family, native, ollama, openai};

/// Everything that answers, and its description.
pub(super) fn routes() -> (Router<Api>, OpenApi) {
    OpenApiRouter::new()
        .merge(native::router())
        .merge(openai::router())
        .merge(ollama::router())
        .merge(anthropic::router())
        .split_for_parts()
}

/// What a connection is served by.
pub(super) fn router(api: Api) -> Router {
    let (routes, _) = routes();
    routes
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(Extension(Caller::local()))
        .layer(from_fn(family::render))
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
