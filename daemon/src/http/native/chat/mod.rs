//! Answers of models: `/llm/chat` and `/llm/completion`.

mod asked;
mod reply;
mod request;

pub(super) use asked::{Asked, chat as ask, model};
pub(super) use reply::{DoneBody, Gathered, Said};
pub(super) use request::{ChatRequest, MessageBody, PriorityBody, keep_alive};

use airunner_core::access::Caller;
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::ErrorBody;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;
use crate::http::stream::{events, named, silent_ping};
use reply::{ChatReply, CompletionReply};
use request::CompletionRequest;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(chat))
        .routes(routes!(completion))
}

/// Answers a conversation, at once or piece by piece.
///
/// With `stream` the answer comes as server-sent events named `start`, `queued`, `loading`,
/// `chunk`, `reasoning`, `tool_call`, and `done` or `error` as the last.
#[utoipa::path(post, path = "/llm/chat", tag = "llm", request_body = ChatRequest, responses(
    (status = 200, content(
        (ChatReply = "application/json"),
        (Said = "text/event-stream"),
    )),
    (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody),
))]
async fn chat(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<ChatRequest>,
) -> Result<Response, Failure> {
    let streams = request.stream;
    let asked = asked::chat(&api, &caller, request).await?;
    answered(asked, streams).await
}

/// Waits for an answer, or passes it on.
pub(super) async fn answered(asked: Asked, streams: bool) -> Result<Response, Failure> {
    if streams {
        streamed(asked).await
    } else {
        Ok(Json(asked.chat_reply().await?).into_response())
    }
}

/// Goes on from a text, at once or piece by piece.
#[utoipa::path(post, path = "/llm/completion", tag = "llm", request_body = CompletionRequest, responses(
    (status = 200, content(
        (CompletionReply = "application/json"),
        (Said = "text/event-stream"),
    )),
    (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody),
))]
async fn completion(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<CompletionRequest>,
) -> Result<Response, Failure> {
    let streams = request.stream;
    let asked = asked::completion(&api, &caller, request).await?;
    if streams {
        streamed(asked).await
    } else {
        Ok(Json(asked.completion_reply().await?).into_response())
    }
}

async fn streamed(asked: Asked) -> Result<Response, Failure> {
    let said = asked.patient_events().await?;
    Ok(events(said.map(|said| event(&said)), silent_ping()))
}

fn event(said: &Said) -> Event {
    named(said.name(), said)
}
