//! Is it there, is it well, which version is it. These tell nothing private and need no key.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(live))
        .routes(routes!(ready))
        .routes(routes!(version))
}

#[derive(Serialize, ToSchema)]
struct Health {
    /// `healthy`, or `shutting_down`.
    status: &'static str,
    version: &'static str,
    /// Seconds since the daemon started.
    uptime: f64,
}

#[derive(Serialize, ToSchema)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize, ToSchema)]
struct Version {
    version: &'static str,
}

fn ends(api: &Api) -> bool {
    api.ending.is_asked() || api.models.is_shutting_down()
}

/// How the daemon is.
#[utoipa::path(get, path = "/health", tag = "health", responses((status = 200, body = Health)))]
async fn health(State(api): State<Api>) -> Json<Health> {
    Json(Health {
        status: if ends(&api) { "shutting_down" } else { "healthy" },
        version: env!("CARGO_PKG_VERSION"),
        uptime: api.started.elapsed().as_secs_f64(),
    })
}

/// Whether the daemon runs at all.
#[utoipa::path(get, path = "/live", tag = "health", responses((status = 200, body = Alive)))]
async fn live() -> Json<Alive> {
    Json(Alive { status: "alive" })
}

/// Whether the daemon takes requests.
#[utoipa::path(get, path = "/ready", tag = "health", responses(
    (status = 200, body = Alive),
    (status = 503, description = "it is shutting down", body = Alive),
))]
async fn ready(State(api): State<Api>) -> (StatusCode, Json<Alive>) {
    if ends(&api) {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(Alive {
                status: "shutting_down",
            }),
        )
    } else {
        (StatusCode::OK, Json(Alive { status: "ready" }))
    }
}

/// Which version runs.
#[utoipa::path(get, path = "/version", tag = "health", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version {
        version: env!("CARGO_PKG_VERSION"),
    })
}
