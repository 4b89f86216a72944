//! `DELETE /api/delete`, `POST /api/copy` and `POST /api/create`.

use airunner_core::defaults::Defaults;
use airunner_core::generate::{MAX_STOP_BYTES, MAX_STOPS};
use airunner_core::{ErrorKind, Fault};
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
use crate::models::{Changes, DeriveRequest};

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

/// What to make of an installed model.
#[derive(Deserialize, ToSchema)]
pub(super) struct CreateRequest {
    #[serde(flatten)]
    named: Named,
    /// An installed model.
    from: Option<String>,
    /// Put before conversations that have no system message.
    system: Option<String>,
    /// A chat template in the language of Jinja.
    template: Option<String>,
    /// What requests leave open.
    parameters: Option<Options>,
    /// Lines of JSON as it goes on; without it, true.
    stream: Option<bool>,
    /// Refused: import a directory with `airunner models import`.
    #[schema(value_type = Option<Object>)]
    files: Option<Map<String, Value>>,
    /// Refused.
    #[schema(value_type = Option<Object>)]
    adapters: Option<Map<String, Value>>,
    /// Refused.
    #[schema(value_type = Option<Vec<Object>>)]
    messages: Option<Vec<Value>>,
    /// Refused.
    quantize: Option<String>,
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
        from: find(&api, &request.source).await?,
        name: new_name(&request.destination)?,
        changes: Changes::default(),
        replaces: true,
    };
    if derive.from == derive.name {
        return Ok(());
    }
    replace(&api, derive).await?;
    Ok(())
}

/// Makes a model of an installed one, with another system prompt, template or parameters.
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
    replace(&api, derive).await?;
    if !streams {
        return Ok(Json(Status::new("success")).into_response());
    }
    let told = ["using existing layers", "writing manifest", "success"];
    Ok(statuses(stream::iter(told.map(|status| Ok(Status::new(status))))))
}

async fn replace(api: &Api, derive: DeriveRequest) -> Result<(), Fault> {
    // One who is in use does not make way.
    match api.models.unload(derive.name.clone(), false).await {
        Ok(_) => {}
        Err(fault) if fault.kind == ErrorKind::ModelNotFound => {}
        Err(fault) => return Err(fault),
    }
    api.models.derive(derive).await.map(drop)
}

async fn derivation(api: &Api, request: CreateRequest) -> Result<DeriveRequest, Fault> {
    let is_empty = |map: &Option<Map<String, Value>>| map.as_ref().is_none_or(Map::is_empty);
    if !is_empty(&request.files) {
        return Err(Fault::invalid(
            "a model cannot be made of uploaded files: put them into a directory and use `airunner models import`",
        )
        .figure("param", "files"));
    }
    if !is_empty(&request.adapters) || request.messages.as_ref().is_some_and(|list| !list.is_empty()) {
        return Err(Fault::invalid(
            "adapters and messages cannot be put into a model here",
        ));
    }
    if request.quantize.as_ref().is_some_and(|level| !level.is_empty()) {
        return Err(
            Fault::invalid("models are not quantized here: pull the precision you want")
                .figure("param", "quantize"),
        );
    }
    let from = request.from.as_deref().filter(|from| !from.is_empty());
    let from = from
        .ok_or_else(|| Fault::invalid("from is missing: name an installed model").figure("param", "from"))?;
    let parameters = request.parameters.unwrap_or_default();
    let defaults = Defaults {
        system: request.system.filter(|system| !system.is_empty()),
        sampling: parameters.sampling(),
        max_tokens: parameters.max_tokens(),
        context_length: parameters.context_length()?,
        stop: stops(parameters.stop)?,
    };
    defaults.sampling.validate()?;
    Ok(DeriveRequest {
        from: find(api, from).await?,
        name: new_name(request.named.text()?)?,
        changes: Changes {
            defaults,
            template: request.template.filter(|template| !template.is_empty()),
        },
        replaces: true,
    })
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
