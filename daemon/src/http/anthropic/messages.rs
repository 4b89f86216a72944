//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use airunner_core::Fault;
use airunner_core::access::Caller;
use airunner_core::generate::ClientId;
use airunner_core::tokenize::{TokenizeInput, TokenizeRequest};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::super::answer::{begin, whole};
use super::super::api::{Api, model_name};
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::super::stream::events;
use super::answer::{Head, MessageOut};
use super::events::{Events, event, ping};
use super::request::{CountRequest, MessagesRequest, Thinking};

/// Goes on with a conversation.
#[utoipa::path(post, path = "/v1/messages", tag = "anthropic", request_body = MessagesRequest, responses(
    (status = 200, description = "or server-sent events, if `stream` is true", body = MessageOut),
    (status = 400, description = "the request is wrong"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn messages(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<MessagesRequest>,
) -> Result<Response, Failure> {
    let model = model_name(&request.model)?;
    let shows_thinking = request.thinking.as_ref().is_some_and(Thinking::is_shown);
    let head = Head::new(request.model.clone(), shows_thinking, request.max_tokens)?;
    let streams = request.stream == Some(true);
    let answer = api
        .inference
        .generate(ClientId::holder(caller.key), request.generation(model)?)?;
    if !streams {
        return Ok(Json(head.whole(whole(answer).await?)).into_response());
    }
    let happening = begin(answer).await?.map(Some).chain(stream::iter([None]));
    let mut writer = Events::new(head);
    let said = happening.flat_map(move |happened| {
        let said = match happened {
            Some(happened) => writer.of(happened),
            None => writer.cut().into_iter().collect(),
        };
        stream::iter(said.into_iter().map(|said| event(&said)))
    });
    Ok(events(said, ping()))
}

/// How long a conversation is.
#[derive(Serialize, ToSchema)]
pub(super) struct CountOut {
    input_tokens: usize,
}

/// Counts what a conversation takes of the context, tools and all.
#[utoipa::path(post, path = "/v1/messages/count_tokens", tag = "anthropic", request_body = CountRequest, responses(
    (status = 200, body = CountOut),
    (status = 400, description = "the request is wrong"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn count_tokens(
    State(api): State<Api>,
    Payload(request): Payload<CountRequest>,
) -> Result<Json<CountOut>, Failure> {
    let model = model_name(&request.model)?;
    let input = TokenizeInput::Conversation(request.conversation()?);
    let tokens = api.inference.tokenize(TokenizeRequest { model, input }).await;
    let input_tokens = tokens.map_err(|fault: Fault| Failure(fault))?.len();
    Ok(Json(CountOut { input_tokens }))
}
