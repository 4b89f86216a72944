//! Our own language: `/api/v1`, and what every probe asks.

mod health;

use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().merge(health::router())
}
