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
    never("models are not published from here: this program fetches them only")
}

const NO_ACCOUNT: &str = "there is no account: nothing here belongs to a service of Ollama";
const NO_WEB: &str = "this program does not search the web: bring a tool of your own that does";

/// Answers that nothing is searched for.
#[utoipa::path(post, path = "/api/web_search", tag = "ollama", responses(
    (status = 501, description = "never done here"),
))]
pub(super) async fn web_search() -> Response {
    never(NO_WEB)
}

/// Answers that no page is fetched.
#[utoipa::path(post, path = "/api/web_fetch", tag = "ollama", responses(
    (status = 501, description = "never done here"),
))]
pub(super) async fn web_fetch() -> Response {
    never(NO_WEB)
}

/// Answers that there is no account.
#[utoipa::path(post, path = "/api/me", tag = "ollama", responses(
    (status = 501, description = "never done here"),
))]
pub(super) async fn me() -> Response {
    never(NO_ACCOUNT)
}

/// Answers that there is no account.
#[utoipa::path(post, path = "/api/signout", tag = "ollama", responses(
    (status = 501, description = "never done here"),
))]
pub(super) async fn sign_out() -> Response {
    never(NO_ACCOUNT)
}

/// What this program does not do, with the reason.
fn never(reason: &str) -> Response {
    let fault = Fault::invalid(reason);
    let mut response = Failure(fault).into_response();
    *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_done_says_why() {
        for reason in [NO_ACCOUNT, NO_WEB] {
            let mut response = never(reason);
            assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
            let Failure(fault) = response.extensions_mut().remove().unwrap();
            assert_eq!(fault.message, reason);
        }
    }
}
