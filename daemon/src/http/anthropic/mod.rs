//! The language of Anthropic: `/v1/messages`.

use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}
