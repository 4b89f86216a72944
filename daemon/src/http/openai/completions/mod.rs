//! What comes after a text.

mod chunks;
pub(super) mod request;
mod response;

#[cfg(test)]
mod tests;

use airunner_core::Fault;
use airunner_core::access::Caller;
use airunner_core::generate::{ClientId, Done, Input};
use airunner_core::tokenize::DetokenizeRequest;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::StreamExt as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::chunks::Chunks;
use self::request::{CompletionRequest, Plan};
use self::response::{Completion, CompletionChoice, CompletionHead, best};
use super::usage::CompletionUsage;
use super::writing::{Line, all, lines, merged};
use crate::http::answer::Whole;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;
use crate::http::stream::{events, silent_ping};
use crate::inference::Answer;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(complete))
}

/// Go on with a text.
#[utoipa::path(post, path = "/v1/completions", tag = "openai", request_body = CompletionRequest, responses(
    (status = 200, description = "what comes after the text, whole or piece by piece", content(
        (Completion = "application/json"),
        (Completion = "text/event-stream"),
    )),
))]
async fn complete(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<CompletionRequest>,
) -> Result<Response, Failure> {
    let plan = request.plan()?;
    let model = plan.requests.first().map(|request| request.model.as_str());
    let head = CompletionHead::new(model.unwrap_or_default())?;
    let answers = start(&api, &caller, &plan)?;
    let prompts = prompts(&api, &plan).await?;
    if !plan.stream {
        return Ok(Json(completion(head, &plan, &prompts, all(answers).await?)).into_response());
    }
    let writer = Chunks::new(head, prompts, plan.choices, plan.logprobs, plan.include_usage);
    let count = answers.len();
    let lines = lines(merged(answers).await?, count, writer);
    Ok(events(lines.map(Line::event), silent_ping()))
}

/// The answers to the first prompt, then those to the second. With a seed each has its own.
fn start(api: &Api, caller: &Caller, plan: &Plan) -> Result<Vec<Answer>, Fault> {
    let attempts = 0..u64::from(plan.attempts);
    plan.requests
        .iter()
        .flat_map(|request| attempts.clone().map(move |attempt| (request, attempt)))
        .map(|(request, attempt)| {
            let mut request = request.clone();
            let seed = &mut request.sampling.seed;
            *seed = seed.map(|seed| seed.wrapping_add(attempt));
            api.inference.generate(ClientId::holder(caller.key), request)
        })
        .collect()
}

/// The prompts as texts, if they are to be repeated; otherwise nothing for each.
async fn prompts(api: &Api, plan: &Plan) -> Result<Vec<String>, Fault> {
    let mut texts = Vec::with_capacity(plan.requests.len());
    for request in &plan.requests {
        let text = match &request.input {
            Input::Raw(text) if plan.echo => text.clone(),
            Input::Tokens(tokens) if plan.echo => {
                let request = DetokenizeRequest {
                    model: request.model.clone(),
                    tokens: tokens.clone(),
                    skip_special_tokens: false,
                };
                api.inference.detokenize(request).await?
            }
            Input::Raw(_) | Input::Tokens(_) | Input::Conversation(_) => String::new(),
        };
        texts.push(text);
    }
    Ok(texts)
}

fn completion(head: CompletionHead, plan: &Plan, prompts: &[String], answers: Vec<Whole>) -> Completion {
    let timings = answers.first().map(|answer| (&answer.done).into());
    let mut usage = CompletionUsage::default();
    let mut choices = Vec::new();
    let mut answers = answers.into_iter().map(untold);
    for prompt in prompts {
        let made: Vec<Whole> = answers.by_ref().take(plan.attempts as usize).collect();
        let dones: Vec<&Done> = made.iter().map(|answer| &answer.done).collect();
        usage.add(&CompletionUsage::of_prompt(&dones, 0));
        for answer in best(made, plan.choices as usize) {
            let index = u32::try_from(choices.len()).unwrap_or(u32::MAX);
            choices.push(CompletionChoice::of(index, prompt, &answer, plan.logprobs));
        }
    }
    Completion {
        head,
        choices,
        usage: Some(Some(usage)),
        timings,
    }
}

/// What follows a text is text, also where it looks like thoughts.
fn untold(mut answer: Whole) -> Whole {
    if !answer.reasoning.is_empty() {
        answer.text = format!("{}{}", answer.reasoning, answer.text);
    }
    answer
}
