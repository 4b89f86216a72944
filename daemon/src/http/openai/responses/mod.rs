//! Answers that can be kept, gone on with, and made in the background.

mod items;
mod output;
mod request;
mod scribe;
mod stored;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use airunner_core::access::{Caller, KeyId};
use airunner_core::generate::{ClientId, GenerateEvent};
use airunner_core::{ErrorKind, Fault};
use axum::extract::State;
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::items::{Turns, kept};
use self::output::ResponseObject;
use self::request::ResponseRequest;
use self::scribe::Scribe;
use super::identity::{now, unique};
use super::refusal::wrong;
use crate::http::answer::begin;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;
use crate::http::stream::{events, silent_ping};
use crate::inference::Answer;
use crate::responses::{self, Responses};
use crate::traces::{current, within};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(respond))
        .merge(stored::router())
}

/// An answer under way, and where it goes.
struct Job {
    scribe: Scribe,
    responses: Responses,
    owner: Option<KeyId>,
    input: Vec<Value>,
}

/// Answer, and keep the answer.
#[utoipa::path(post, path = "/v1/responses", tag = "openai", request_body = ResponseRequest, responses(
    (status = 200, description = "the answer, whole or step by step", content(
        (ResponseObject = "application/json"),
        (Object = "text/event-stream"),
    )),
))]
async fn respond(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<ResponseRequest>,
) -> Result<Response, Failure> {
    request.check()?;
    let input = kept(request.input.clone())?;
    let mut turns = Turns::of(request.instructions.as_deref());
    if let Some(previous) = &request.previous_response_id {
        go_on(&mut turns, previous, &api.responses, &caller).await?;
    }
    turns.add(&input)?;
    let client = ClientId::holder(caller.key);
    let generate = request.generate(turns.messages())?;
    let job = Job {
        scribe: Scribe::new(request.object(unique("resp_")?, now())),
        responses: api.responses.clone(),
        owner: caller.key,
        input,
    };
    if request.background == Some(true) {
        generate.validate()?;
        api.models.model(&generate.model)?;
        let lost = api.keys.lost(caller.key);
        let started = job.start(move || api.inference.generate(client, generate), lost);
        return Ok(Json(started.await?).into_response());
    }
    let answer = api.inference.generate(client, generate)?;
    if request.stream == Some(true) {
        let answer = begin(answer).await?;
        return Ok(events(job.steps(answer.boxed()), silent_ping()));
    }
    Ok(Json(job.whole(answer).await?).into_response())
}

/// What was said in the answers before.
async fn go_on(
    turns: &mut Turns,
    previous: &str,
    responses: &Responses,
    caller: &Caller,
) -> Result<(), Fault> {
    let chain = responses.chain(previous, caller).await;
    for response in chain.map_err(not_gone_on)? {
        let output = response.body["output"].as_array().cloned().unwrap_or_default();
        let added = turns.add(&response.input).and_then(|()| turns.add(&output));
        added.map_err(|_| {
            wrong(
                "previous_response_id",
                format!("{} cannot be gone on with: begin a new conversation", response.id),
            )
        })?;
    }
    Ok(())
}

/// An answer that is not there is a wrong value here: nothing is missing at this address.
fn not_gone_on(fault: Fault) -> Fault {
    let fault = if fault.kind == ErrorKind::NotFound {
        Fault::invalid(fault.message).figure("code", "previous_response_not_found")
    } else {
        fault
    };
    fault.figure("param", "previous_response_id")
}

impl Job {
    /// All of the answer.
    async fn whole(mut self, answer: Answer) -> Result<ResponseObject, Fault> {
        self.read(answer).await?;
        self.keep().await;
        Ok(self.scribe.response)
    }

    async fn read(&mut self, mut answer: Answer) -> Result<(), Fault> {
        while let Some(event) = answer.recv().await {
            let event = event?;
            let is_last = matches!(event, GenerateEvent::Done(_));
            self.scribe.write(event)?;
            if is_last {
                return Ok(());
            }
        }
        Err(cut())
    }

    /// The answer as it is at first; it is made in the background, unless its key is lost.
    async fn start(
        self,
        generate: impl FnOnce() -> Result<Answer, Fault> + Send + 'static,
        lost: impl Future<Output = Fault> + Send + 'static,
    ) -> Result<ResponseObject, Fault> {
        let (responses, first, told) = (
            self.responses.clone(),
            self.record(),
            self.scribe.response.clone(),
        );
        let mut job = self;
        let work = async move {
            let read = match generate() {
                Ok(answer) => tokio::select! {
                    read = job.read(answer) => read,
                    fault = lost => Err(fault),
                },
                Err(fault) => Err(fault),
            };
            if let Err(fault) = read {
                job.scribe.response.fail(&fault);
            }
            job.scribe.response.json()
        };
        responses.start(&first, within(current(), work).boxed()).await?;
        Ok(told)
    }

    /// Every step of the answer.
    fn steps(
        mut self,
        answer: BoxStream<'static, Result<GenerateEvent, Fault>>,
    ) -> impl futures_util::Stream<Item = Event> + Send + 'static {
        let first = self.scribe.begin();
        let rest = stream::unfold(Some((self, answer)), async |stage| {
            let (mut job, mut answer) = stage?;
            let event = answer.next().await.unwrap_or_else(|| Err(cut()));
            let is_last = matches!(event, Ok(GenerateEvent::Done(_)));
            match event.and_then(|event| job.scribe.write(event)) {
                Ok(steps) if !is_last => Some((steps, Some((job, answer)))),
                Ok(mut steps) => {
                    job.keep().await;
                    steps.push(job.scribe.end());
                    Some((steps, None))
                }
                Err(fault) => {
                    tracing::info!(reason = %fault.kind, "an answer ended in its middle");
                    let step = job.scribe.fail(&fault);
                    job.keep().await;
                    Some((vec![step], None))
                }
            }
        });
        stream::iter([first])
            .chain(rest)
            .flat_map(stream::iter)
            .map(|step| event(&step))
    }

    /// Keeps the answer, if that is wanted. It is told either way.
    async fn keep(&mut self) {
        if !self.scribe.response.store {
            return;
        }
        if let Err(fault) = self.responses.keep(&self.record()).await {
            tracing::warn!(reason = %fault.kind, "an answer cannot be kept: {fault}");
            self.scribe.response.store = false;
        }
    }

    fn record(&self) -> responses::Response {
        let response = &self.scribe.response;
        responses::Response {
            id: response.id.clone(),
            owner: self.owner,
            previous: response.previous_response_id.clone(),
            created: UNIX_EPOCH
                .checked_add(Duration::from_secs(response.created_at))
                .unwrap_or_else(SystemTime::now),
            body: response.json(),
            input: self.input.clone(),
        }
    }
}

/// Its name before its data, as some clients read no further than they must.
fn event(step: &Value) -> Event {
    let kind = step["type"].as_str().unwrap_or_default();
    Event::default().event(kind).data(step.to_string())
}

fn cut() -> Fault {
    Fault::internal("the answer ended too early")
}
