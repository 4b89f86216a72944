//! The numbers, for Prometheus.

use airunner_platform::process;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::Api;
use crate::metrics::Picture;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(in crate::http) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(metrics))
}

/// Numbers about requests, models and memory, as Prometheus reads them.
#[utoipa::path(get, path = "/metrics", tag = "metrics", responses(
    (status = 200, description = "OpenMetrics text",
        content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8", body = String),
))]
async fn metrics(State(api): State<Api>) -> impl IntoResponse {
    let picture = Picture {
        models: api.models.list(),
        memory: api.models.memory(),
        own_memory_bytes: process::own_resident_memory(),
        uptime: api.started.elapsed(),
    };
    let text = api.usage.metrics().text(&picture);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], text)
}
