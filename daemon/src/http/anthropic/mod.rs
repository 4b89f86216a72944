//! The language of Anthropic: `/v1/messages`.

mod answer;
mod events;
mod messages;
pub(super) mod models;
mod request;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(messages::messages))
        .routes(routes!(messages::count_tokens))
}
