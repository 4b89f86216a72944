//! What Ollama does and this program does not: said clearly, in Ollama's form.

use airunner_core::{ErrorKind, Fault};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::names::find;

/// Texts to turn into vectors.
#[derive(Deserialize, ToSchema)]
pub(super) struct EmbedRequest {
    model: String,
    /// A text or several.
    #[expect(dead_code, reason = "described, and not read by anything yet")]
    #[schema(value_type = Option<Vec<String>>)]
    input: Option<Value>,
    /// In the older form: the text.
    #[expect(dead_code, reason = "described, and not read by anything yet")]
    prompt: Option<String>,
}

/// Answers that no installed model makes vectors.
#[utoipa::path(post, path = "/api/embed", tag = "ollama", request_body = EmbedRequest, responses(
    (status = 422, description = "the model makes no vectors"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn embed(
    State(api): State<Api>,
    Payload(request): Payload<EmbedRequest>,
) -> Result<(), Failure> {
    let model = find(&api, &request.model).await?;
    Err(Fault::new(
        ErrorKind::ModelIncompatible,
        format!("\"{model}\" does not support embeddings: it is a language model"),
    )
    .into())
}

/// Answers that no installed model makes vectors.
#[utoipa::path(post, path = "/api/embeddings", tag = "ollama", request_body = EmbedRequest, responses(
    (status = 422, description = "the model makes no vectors"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn embeddings(state: State<Api>, payload: Payload<EmbedRequest>) -> Result<(), Failure> {
    embed(state, payload).await
}

/// Answers that models are not published from here.
#[utoipa::path(post, path = "/api/push", tag = "ollama", responses(
    (status = 501, description = "never done here"),
))]
pub(super) async fn push() -> Response {
    let fault = Fault::invalid("models are not published from here: this program fetches them only");
    let mut response = Failure(fault).into_response();
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    response
}
