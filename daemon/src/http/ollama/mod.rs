//! The language of Ollama: `/api`.

mod chat;
mod dates;
mod generate;
mod load;
mod names;
mod options;
mod pieces;
mod reply;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(chat::chat))
        .routes(routes!(generate::generate))
}
