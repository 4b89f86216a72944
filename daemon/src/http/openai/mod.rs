//! The language of OpenAI: `/v1`.

mod chat;
mod completions;
mod embeddings;
mod identity;
mod logprobs;
mod models;
mod refusal;
mod responses;
mod settings;
mod tokens;
mod usage;
mod writing;

use utoipa_axum::router::OpenApiRouter;

use super::api::Api;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(chat::router())
        .merge(completions::router())
        .merge(embeddings::router())
        .merge(models::router())
        .merge(responses::router())
        .merge(tokens::router())
}
