//! The language of Ollama: `/api`.

use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
}
