//! The language of Ollama: `/api`.

mod absent;
mod blobs;
mod chat;
mod dates;
mod generate;
mod list;
mod load;
mod manage;
mod names;
mod options;
mod pieces;
mod pull;
mod reply;
mod show;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list::root))
        .routes(routes!(list::version))
        .routes(routes!(list::tags))
        .routes(routes!(list::processes))
        .routes(routes!(show::show))
        .routes(routes!(chat::chat))
        .routes(routes!(generate::generate))
        .routes(routes!(absent::embed))
        .routes(routes!(absent::embeddings))
        .routes(routes!(absent::push))
        .routes(routes!(blobs::blob, blobs::upload))
        .routes(routes!(absent::web_search))
        .routes(routes!(absent::web_fetch))
        .routes(routes!(absent::me))
        .routes(routes!(absent::sign_out))
        .routes(routes!(pull::pull))
        .routes(routes!(manage::delete))
        .routes(routes!(manage::copy))
        .routes(routes!(manage::create))
}
