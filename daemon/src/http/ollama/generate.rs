//! `POST /api/generate`.

use airunner_core::access::Caller;
use airunner_core::chat::{Conversation, Message};
use airunner_core::generate::{ClientId, GenerateRequest, Input};
use airunner_core::model::Capability;
use airunner_core::{Fault, ModelName};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::chat::{no_images, top_logprobs};
use super::dates::now;
use super::load::{make_room, switch};
use super::names::find;
use super::options::{Kept, Options, Think, format};
use super::pieces::{Clock, Figures, Logprob, Piece, logprobs};
use super::reply::{Ask, Memory, check, reply};

/// A text to answer or to go on with.
#[derive(Deserialize, ToSchema)]
pub(super) struct CompletionRequest {
    model: String,
    /// Without one, the model is loaded, or unloaded with a `keep_alive` of 0.
    prompt: Option<String>,
    /// Refused: no model that runs here fills gaps.
    suffix: Option<String>,
    system: Option<String>,
    /// Refused: create a model with it.
    template: Option<String>,
    /// Of the answer before, which this goes on from; what was told there is not told again.
    context: Option<Vec<u32>>,
    /// The prompt goes to the model as it is.
    raw: Option<bool>,
    /// `json` or a JSON schema.
    #[schema(value_type = Option<Object>)]
    format: Option<Value>,
    /// Refused: no model that runs here can see.
    #[schema(value_type = Option<Vec<String>>)]
    images: Option<Vec<Value>>,
    options: Option<Options>,
    /// Lines of JSON as they come; without it, true.
    stream: Option<bool>,
    think: Option<Think>,
    /// Seconds, or a text such as `5m`; negative: for ever; 0: unload after the answer.
    #[schema(value_type = Option<String>)]
    keep_alive: Option<Kept>,
    logprobs: Option<bool>,
    /// Alternatives for each token, at most 20.
    top_logprobs: Option<u32>,
}

/// A line of an answer, or all of it.
#[derive(Serialize, ToSchema)]
pub(super) struct CompletionAnswer {
    model: String,
    created_at: String,
    response: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    thinking: String,
    done: bool,
    /// `stop`, `length`, `load` or `unload`; in the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    done_reason: Option<&'static str>,
    /// To send with the next request; in the last line.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Vec<u32>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logprobs: Vec<Logprob>,
    #[serde(flatten)]
    figures: Option<Figures>,
}

/// Answers a text.
#[utoipa::path(post, path = "/api/generate", tag = "ollama", request_body = CompletionRequest, responses(
    (status = 200, body = CompletionAnswer, content_type = "application/x-ndjson"),
    (status = 400, description = "the request is wrong"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn generate(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Payload(request): Payload<CompletionRequest>,
) -> Result<Response, Failure> {
    let mut clock = Clock::start();
    let model = find(&api, &request.model).await?;
    request.refuse_impossible(&model)?;
    let called = request.model.clone();
    let kept = request.keep_alive;
    let context = request
        .options
        .as_ref()
        .map_or(Ok(None), Options::context_length)?;
    if request.prompt.as_ref().is_none_or(String::is_empty) {
        let done = switch(&api, &caller, model, kept, context).await?;
        return Ok(Json(CompletionAnswer::switched(called, done)).into_response());
    }
    if request.think.as_ref().is_some_and(Think::is_on) {
        check(&api, &model, &[Capability::Thinking]).await?;
    }
    let stream = request.stream.unwrap_or(true);
    let shows_thinking = request.think.as_ref().is_none_or(Think::is_on);
    let remembers = request.raw != Some(true) && !Kept::is_zero(kept);
    let request = generation(model, request)?;
    request.validate()?;
    clock
        .preparing(make_room(&api, &caller, &request.model, kept, context))
        .await?;
    let ask = Ask {
        stream,
        shows_thinking,
        clock,
        remembers: remembers.then(|| Memory {
            api: api.clone(),
            model: request.model.clone(),
            input: request.input.clone(),
        }),
        request,
        client: ClientId::holder(caller.key),
    };
    let write = move |piece: Piece, tokens| CompletionAnswer::of(&called, piece, tokens);
    Ok(reply(&api, ask, write).await?)
}

fn generation(model: ModelName, request: CompletionRequest) -> Result<GenerateRequest, Fault> {
    let prompt = request.prompt.unwrap_or_default();
    let input = if request.raw == Some(true) {
        Input::Raw(prompt)
    } else {
        let system = request.system.filter(|system| !system.is_empty());
        let system = system.map(|system| Message::new("system", system));
        Input::Conversation(Conversation {
            messages: system.into_iter().chain([Message::new("user", prompt)]).collect(),
            earlier: request.context.unwrap_or_default(),
            template_variables: request
                .think
                .map_or_else(|| Ok(Map::new()), |think| think.variables())?,
            ..Conversation::default()
        })
    };
    let mut generation = GenerateRequest::new(model, input);
    request.options.unwrap_or_default().apply(&mut generation);
    generation.format = format(request.format)?;
    generation.keep_alive = request.keep_alive.map(|kept| kept.0);
    generation.top_logprobs = top_logprobs(request.logprobs, request.top_logprobs);
    Ok(generation)
}

impl CompletionRequest {
    fn refuse_impossible(&self, model: &ModelName) -> Result<(), Fault> {
        let is_set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if is_set(&self.suffix) {
            return Err(
                Fault::invalid(format!("\"{model}\" does not support insert")).figure("param", "suffix")
            );
        }
        if is_set(&self.template) {
            return Err(Fault::invalid(
                "a request cannot bring its own template: create a model with it, or send the whole prompt \
                 with \"raw\"",
            )
            .figure("param", "template"));
        }
        no_images(self.images.as_ref())
    }
}

impl CompletionAnswer {
    fn of(model: &str, piece: Piece, context: Option<Vec<u32>>) -> Self {
        let end = piece.end;
        Self {
            model: model.to_owned(),
            created_at: now(),
            response: piece.text,
            thinking: piece.thinking,
            done: end.is_some(),
            done_reason: end.as_ref().map(|end| end.reason),
            context,
            logprobs: logprobs(piece.logprobs),
            figures: end.map(|end| end.figures),
        }
    }

    fn switched(model: String, reason: &'static str) -> Self {
        Self {
            model,
            created_at: now(),
            response: String::new(),
            thinking: String::new(),
            done: true,
            done_reason: Some(reason),
            context: None,
            logprobs: Vec::new(),
            figures: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> CompletionRequest {
        serde_json::from_value(body).unwrap()
    }

    fn tiny() -> ModelName {
        ModelName::new("tiny").unwrap()
    }

    #[test]
    fn a_prompt_is_a_conversation_unless_it_is_raw() {
        let request = read(json!({"model": "tiny", "prompt": "Hi", "system": "Be brief.", "think": false}));
        let Input::Conversation(conversation) = generation(tiny(), request).unwrap().input else {
            panic!("not a conversation");
        };
        let roles: Vec<_> = conversation
            .messages
            .iter()
            .map(|message| message.role.as_str())
            .collect();
        assert_eq!(roles, ["system", "user"]);
        assert_eq!(conversation.template_variables["enable_thinking"], false);
        assert!(conversation.earlier.is_empty());
        let later = read(json!({"model": "tiny", "prompt": "Hi", "context": [1, 2]}));
        let Input::Conversation(later) = generation(tiny(), later).unwrap().input else {
            panic!("not a conversation");
        };
        assert_eq!(later.earlier, [1, 2]);
        let request =
            read(json!({"model": "tiny", "prompt": "Hi", "raw": true, "system": "", "context": [1]}));
        assert_eq!(
            generation(tiny(), request).unwrap().input,
            Input::Raw("Hi".into())
        );
    }

    #[test]
    fn what_no_model_here_can_do_is_refused() {
        for (field, value) in [
            ("suffix", json!("}")),
            ("template", json!("{{ .Prompt }}")),
            ("images", json!(["aGk="])),
        ] {
            let mut body = json!({"model": "tiny", "prompt": "Hi"});
            body[field] = value;
            let fault = read(body).refuse_impossible(&tiny()).unwrap_err();
            assert_eq!(fault.figures["param"], field);
        }
        let plain =
            read(json!({"model": "tiny", "prompt": "Hi", "suffix": "", "template": "", "images": []}));
        assert!(plain.refuse_impossible(&tiny()).is_ok());
    }
}
