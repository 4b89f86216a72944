//! Answers to conversations.

mod chunks;
pub(super) mod format;
pub(super) mod messages;
pub(super) mod request;
mod response;
pub(super) mod tools;

#[cfg(test)]
mod tests;

use airunner_core::Fault;
use airunner_core::access::Caller;
use airunner_core::generate::ClientId;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::chunks::Chunks;
use self::request::{ChatCompletionRequest, Plan};
use self::response::{ChatCompletion, ChatCompletionChunk, ChatHead, Shape};
use super::writing::{Line, all, lines, merged};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;
use crate::http::stream::{events, silent_ping};
use crate::inference::Answer;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(chat))
}

/// Answer a conversation.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "openai", request_body = ChatCompletionRequest, responses(
    (status = 200, description = "the answer, whole or piece by piece", content(
        (ChatCompletion = "application/json"),
        (ChatCompletionChunk = "text/event-stream"),
    )),
))]
async fn chat(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<ChatCompletionRequest>,
) -> Result<Response, Failure> {
    let plan = request.plan()?;
    let answers = start(&api, &caller, &plan)?;
    let head = ChatHead::new(plan.generate.model.as_str(), plan.stream)?;
    let shape = Shape {
        legacy: plan.legacy,
        logprobs: plan.generate.top_logprobs.is_some(),
    };
    if !plan.stream {
        return Ok(Json(ChatCompletion::of(head, all(answers).await?, shape)).into_response());
    }
    let writer = Chunks::new(head, plan.choices, shape, plan.include_usage);
    let count = answers.len();
    let lines = lines(merged(answers).await?, count, writer);
    Ok(events(lines.map(Line::event), silent_ping()))
}

/// One request per choice, side by side. With a seed each has its own.
fn start(api: &Api, caller: &Caller, plan: &Plan) -> Result<Vec<Answer>, Fault> {
    (0..u64::from(plan.choices))
        .map(|choice| {
            let mut generate = plan.generate.clone();
            let seed = &mut generate.sampling.seed;
            *seed = seed.map(|seed| seed.wrapping_add(choice));
            api.inference.generate(ClientId::holder(caller.key), generate)
        })
        .collect()
}
