//! `DELETE /api/delete`, `POST /api/copy` and `POST /api/create`.

use std::collections::BTreeMap;

use airunner_core::Fault;
use airunner_core::chat::Message;
use airunner_core::defaults::Defaults;
use airunner_core::generate::{MAX_STOP_BYTES, MAX_STOPS};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Payload;
use super::names::{Named, find, new_name};
use super::options::{Options, Stops};
use super::pull::{Status, statuses};
use crate::models::{BlobDigest, Changes, DeriveRequest, Origin, Part};

/// Turns that conversations may begin with.
const MAX_OPENING: usize = 256;

/// Which model to delete.
#[derive(Deserialize, ToSchema)]
pub(super) struct DeleteRequest {
    #[serde(flatten)]
    named: Named,
}

#[derive(Deserialize, ToSchema)]
pub(super) struct CopyRequest {
    source: String,
    destination: String,
}

/// What to make of an installed model, or of files.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateRequest {
    #[serde(flatten)]
    named: Named,
    /// An installed model.
    from: Option<String>,
    /// Instead of `from`: the files of an ONNX package by their names, each as the `sha256:` under
    /// which it was sent to `/api/blobs`.
    files: Option<BTreeMap<String, String>>,
    /// Put before conversations that have no system message.
    system: Option<String>,
    /// A chat template in the language of Jinja.
    template: Option<String>,
    /// What requests leave open.
    parameters: Option<Options>,
    /// Turns that every conversation begins with.
    messages: Option<Vec<OpeningTurn>>,
    /// A text or several, shown with the model.
    license: Option<Stops>,
    /// Lines of JSON as it goes on; without it, true.
    stream: Option<bool>,
    /// Refused: models run without adapters here.
    #[schema(value_type = Option<Object>)]
    adapters: Option<Map<String, Value>>,
    /// Refused: models are made of what they are given, in the precision they have.
    quantize: Option<String>,
}

/// A turn that every conversation begins with.
#[derive(Deserialize, ToSchema)]
pub(super) struct OpeningTurn {
    /// `user` or `assistant`; `system` belongs into the field of that name.
    role: String,
    content: String,
}

/// Unloads and deletes a model.
#[utoipa::path(delete, path = "/api/delete", tag = "ollama", request_body = DeleteRequest, responses(
    (status = 200, description = "it is gone"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn delete(
    State(api): State<Api>,
    Payload(request): Payload<DeleteRequest>,
) -> Result<(), Failure> {
    let name = find(&api, request.named.text()?).await?;
    api.models.unload(name.clone(), false).await?;
    Ok(api.models.remove(name).await?)
}

/// Makes a second model of the same files. A model of that name makes way.
#[utoipa::path(post, path = "/api/copy", tag = "ollama", request_body = CopyRequest, responses(
    (status = 200, description = "it is there"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn copy(
    State(api): State<Api>,
    Payload(request): Payload<CopyRequest>,
) -> Result<(), Failure> {
    let derive = DeriveRequest {
        from: Origin::Model(find(&api, &request.source).await?),
        name: new_name(&request.destination)?,
        changes: Changes::default(),
        replaces: true,
    };
    if derive.from == Origin::Model(derive.name.clone()) {
        return Ok(());
    }
    api.models.derive(derive).await?;
    Ok(())
}

/// Makes a model of an installed one, with another system prompt, template or parameters, or of
/// files.
#[utoipa::path(post, path = "/api/create", tag = "ollama", request_body = CreateRequest, responses(
    (status = 200, body = Status, content_type = "application/x-ndjson"),
    (status = 400, description = "the request is wrong"),
    (status = 404, description = "no such model"),
))]
pub(super) async fn create(
    State(api): State<Api>,
    Payload(request): Payload<CreateRequest>,
) -> Result<Response, Failure> {
    let streams = request.stream.unwrap_or(true);
    let derive = derivation(&api, request).await?;
    let uses_files = matches!(derive.from, Origin::Files(_));
    api.models.derive(derive).await?;
    if !streams {
        return Ok(Json(Status::new("success")).into_response());
    }
    let layers = if uses_files {
        "creating new layers"
    } else {
        "using existing layers"
    };
    let told = [layers, "writing manifest", "success"];
    Ok(statuses(stream::iter(told.map(|status| Ok(Status::new(status))))))
}

async fn derivation(api: &Api, request: CreateRequest) -> Result<DeriveRequest, Fault> {
    request.refuse_impossible()?;
    let origin = request.origin()?;
    let name = new_name(request.named.text()?)?;
    let parameters = request.parameters.unwrap_or_default();
    let defaults = Defaults {
        system: filled(request.system),
        sampling: parameters.sampling(),
        max_tokens: parameters.max_tokens(),
        context_length: parameters.context_length()?,
        stop: stops(parameters.stop)?,
        messages: opening(request.messages)?,
    };
    defaults.sampling.validate()?;
    let from = match origin {
        Origin::Model(from) => Origin::Model(find(api, &from).await?),
        Origin::Files(parts) => Origin::Files(parts),
    };
    Ok(DeriveRequest {
        from,
        name,
        changes: Changes {
            defaults,
            template: filled(request.template),
            license: filled(request.license.map(|texts| texts.into_vec().join("\n"))),
        },
        replaces: true,
    })
}

fn filled(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl CreateRequest {
    fn refuse_impossible(&self) -> Result<(), Fault> {
        if self
            .adapters
            .as_ref()
            .is_some_and(|adapters| !adapters.is_empty())
        {
            return Err(Fault::invalid(
                "adapters are not applied here: merge the adapter into its model, export that to ONNX, and send its \
                 files",
            )
            .figure("param", "adapters"));
        }
        if self.quantize.as_ref().is_some_and(|level| !level.is_empty()) {
            return Err(Fault::invalid(
                "this version does not quantize models: pull or send the precision you want",
            )
            .figure("param", "quantize"));
        }
        Ok(())
    }

    fn origin(&self) -> Result<Origin<String>, Fault> {
        let from = self.from.as_ref().filter(|from| !from.is_empty());
        let files = self.files.as_ref().filter(|files| !files.is_empty());
        match (from, files) {
            (Some(_), Some(_)) => Err(Fault::invalid(
                "a model is made of another one or of files: send from or files, not both",
            )
            .figure("param", "files")),
            (Some(from), None) => Ok(Origin::Model(from.clone())),
            (None, Some(files)) => files
                .iter()
                .map(part)
                .collect::<Result<_, _>>()
                .map(Origin::Files),
            (None, None) => Err(Fault::invalid(
                "from is missing: name an installed model, or send files and name them in files",
            )
            .figure("param", "from")),
        }
    }
}

fn part((path, digest): (&String, &String)) -> Result<Part, Fault> {
    let read = BlobDigest::parse(digest).ok_or_else(|| {
        let shown: String = path.chars().take(128).collect();
        Fault::invalid(format!(
            "the digest of {shown:?} must be sha256: and 64 hexadecimal digits"
        ))
        .figure("param", "files")
    })?;
    Ok(Part {
        path: path.clone(),
        digest: read,
    })
}

/// The turns that conversations begin with.
fn opening(turns: Option<Vec<OpeningTurn>>) -> Result<Vec<Message>, Fault> {
    let turns = turns.unwrap_or_default();
    if turns.len() > MAX_OPENING {
        return Err(
            Fault::invalid(format!("messages may have at most {MAX_OPENING} turns"))
                .figure("param", "messages"),
        );
    }
    let turn = |turn: OpeningTurn| match turn.role.as_str() {
        "user" | "assistant" => Ok(Message::new(turn.role, turn.content)),
        _ => Err(Fault::invalid(
            "the turns in messages are of user and assistant; what the system says belongs into system",
        )
        .figure("param", "messages")),
    };
    turns.into_iter().map(turn).collect()
}

/// What ends answers of the new model: held here to what holds for requests, for every one of
/// them would be refused otherwise.
fn stops(stops: Option<Stops>) -> Result<Vec<String>, Fault> {
    let stops = stops.map(Stops::into_vec).unwrap_or_default();
    let stops: Vec<String> = stops.into_iter().filter(|stop| !stop.is_empty()).collect();
    if stops.len() > MAX_STOPS || stops.iter().any(|stop| stop.len() > MAX_STOP_BYTES) {
        return Err(Fault::invalid(format!(
            "parameters.stop may have {MAX_STOPS} texts of at most {MAX_STOP_BYTES} bytes"
        ))
        .figure("param", "parameters.stop"));
    }
    Ok(stops)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_answers_is_bounded_and_never_empty() {
        let many = |count: usize| Some(Stops::Many(vec!["x".to_owned(); count]));
        assert_eq!(
            stops(Some(Stops::Many(vec![String::new(), "END".to_owned()]))).unwrap(),
            ["END"]
        );
        assert!(stops(Some(Stops::One(String::new()))).unwrap().is_empty());
        assert!(stops(many(MAX_STOPS)).is_ok() && stops(many(MAX_STOPS + 1)).is_err());
        assert!(stops(Some(Stops::One("x".repeat(MAX_STOP_BYTES + 1)))).is_err());
    }
}
