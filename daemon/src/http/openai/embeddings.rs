//! Texts as vectors.

use airunner_core::{ErrorKind, Fault};
use axum::extract::State;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::completions::request::Prompts;
use crate::http::api::{Api, model_name};
use crate::http::failure::Failure;
use crate::http::payload::Payload;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(embed))
}

/// Texts to turn into vectors.
#[derive(Debug, Deserialize, ToSchema)]
struct EmbeddingRequest {
    /// Name of an installed model.
    model: String,
    #[expect(dead_code, reason = "checked for its form, until a model can read it")]
    input: Prompts,
}

/// Turn texts into vectors.
///
/// No model that can be installed does this: the answer is the error `model_incompatible`.
#[utoipa::path(post, path = "/v1/embeddings", tag = "openai", request_body = EmbeddingRequest,
    responses((status = 422, description = "the model makes no embeddings")))]
async fn embed(State(api): State<Api>, Payload(request): Payload<EmbeddingRequest>) -> Failure {
    let found = model_name(&request.model).and_then(|name| api.models.model(&name));
    Failure(match found {
        Ok(model) => Fault::new(
            ErrorKind::ModelIncompatible,
            format!("{} is a language model and makes no embeddings", model.name),
        ),
        Err(fault) => fault.figure("param", "model"),
    })
}
