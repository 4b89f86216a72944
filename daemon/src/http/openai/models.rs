//! The models there are.

use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use airunner_core::Fault;
use airunner_core::model::{Model, Source};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::anthropic::models::{self as anthropic, Page};
use crate::http::api::{Api, model_name};
use crate::http::failure::Failure;
use crate::http::payload::{Params, Place};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(model))
        // Names may have slashes that a client did not encode.
        .route("/v1/models/{owner}/{*rest}", get(model_in_parts))
}

/// The installed models.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
struct ModelList {
    object: &'static str,
    data: Vec<ModelEntry>,
}

/// An installed model.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct ModelEntry {
    /// Its name, for `model` in requests.
    id: String,
    object: &'static str,
    /// When it was installed, seconds since 1970.
    created: u64,
    owned_by: String,
    /// What it is doing, such as `loaded`.
    state: String,
}

/// List the installed models.
#[utoipa::path(get, path = "/v1/models", tag = "openai", responses((status = 200, body = ModelList)))]
async fn list(
    State(api): State<Api>,
    headers: HeaderMap,
    Params(page): Params<Page>,
) -> Result<Response, Failure> {
    if anthropic::is_wanted(&headers) {
        return Ok(anthropic::page(&api, page).await?);
    }
    let mut data = Vec::new();
    for model in api.models.list() {
        data.push(entry(&api, model).await);
    }
    Ok(Json(ModelList { object: "list", data }).into_response())
}

/// Look up an installed model.
///
/// Slashes in its name may be encoded or not.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "openai",
    params(("id" = String, Path, description = "name of an installed model")),
    responses((status = 200, body = ModelEntry)))]
async fn model(
    State(api): State<Api>,
    headers: HeaderMap,
    Place(id): Place<String>,
) -> Result<Response, Failure> {
    Ok(find(&api, &headers, &id).await?)
}

async fn model_in_parts(
    State(api): State<Api>,
    headers: HeaderMap,
    Place((owner, rest)): Place<(String, String)>,
) -> Result<Response, Failure> {
    Ok(find(&api, &headers, &format!("{owner}/{rest}")).await?)
}

async fn find(api: &Api, headers: &HeaderMap, id: &str) -> Result<Response, Fault> {
    let found = model_name(id).and_then(|name| api.models.model(&name));
    let model = found.map_err(|fault| fault.figure("param", "model"))?;
    if anthropic::is_wanted(headers) {
        return anthropic::one(api, &model).await;
    }
    Ok(Json(entry(api, model).await).into_response())
}

async fn entry(api: &Api, model: Model) -> ModelEntry {
    let created = match api.models.find(&model.name).await {
        Ok(installed) => installed_at(installed.directory).await,
        // It is being removed.
        Err(_) => 0,
    };
    ModelEntry {
        owned_by: owner(&model),
        state: model.state.to_string().to_lowercase(),
        id: model.name.to_string(),
        object: "model",
        created,
    }
}

/// A package is written once.
async fn installed_at(directory: PathBuf) -> u64 {
    let modified = tokio::fs::metadata(directory)
        .await
        .and_then(|found| found.modified());
    modified
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_secs())
}

/// Who published it, as far as its source tells.
fn owner(model: &Model) -> String {
    match &model.source {
        Source::Hub(repository) => repository.split('/').next().unwrap_or(repository).to_owned(),
        Source::Builtin => "airunner".to_owned(),
        Source::Import(_) | Source::Linked(_) => "local".to_owned(),
    }
}
