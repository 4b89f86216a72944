//! Answers that were kept.

use airunner_core::Fault;
use airunner_core::access::Caller;
use axum::extract::State;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::output::ResponseObject;
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::openai::refusal::{unsupported, wrong};
use crate::http::openai::settings;
use crate::http::payload::{Params, Place};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(get, remove))
        .routes(routes!(cancel))
        .routes(routes!(input_items))
}

/// Items on one page, if the caller does not say.
const USUAL_PAGE: u32 = 20;
const MAX_PAGE: u32 = 100;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Looking {
    /// Cannot be had: ask again until the status is no longer `in_progress`.
    stream: Option<bool>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Page {
    /// Items on the page, 1 to 100; 20 if left out.
    pub(super) limit: Option<i64>,
    /// `asc` or `desc`, which is usual: the last first.
    pub(super) order: Option<String>,
    /// The item the page begins after.
    pub(super) after: Option<String>,
}

/// Some of the items an answer was made from.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct ItemList {
    object: &'static str,
    #[schema(value_type = Vec<Object>)]
    pub(super) data: Vec<Value>,
    pub(super) first_id: Option<String>,
    pub(super) last_id: Option<String>,
    /// There are more after these.
    pub(super) has_more: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct DeletedResponse {
    id: String,
    object: &'static str,
    deleted: bool,
}

/// Look at an answer again.
#[utoipa::path(get, path = "/v1/responses/{id}", tag = "openai", params(
    ("id" = String, Path, description = "name of a kept answer"), Looking,
), responses((status = 200, body = ResponseObject)))]
async fn get(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
    Params(looking): Params<Looking>,
) -> Result<Json<Value>, Failure> {
    if looking.stream == Some(true) {
        return Err(unsupported("stream", "a kept answer is not streamed again: leave stream out").into());
    }
    Ok(Json(api.responses.find(&id, &caller).await?.body))
}

/// Drop an answer.
///
/// One that is being made in the background is given up.
#[utoipa::path(delete, path = "/v1/responses/{id}", tag = "openai",
    params(("id" = String, Path, description = "name of a kept answer")),
    responses((status = 200, body = DeletedResponse)))]
async fn remove(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<DeletedResponse>, Failure> {
    api.responses.remove(&id, &caller).await?;
    Ok(Json(DeletedResponse {
        id,
        object: "response",
        deleted: true,
    }))
}

/// Give up an answer that is being made in the background.
#[utoipa::path(post, path = "/v1/responses/{id}/cancel", tag = "openai",
    params(("id" = String, Path, description = "name of a kept answer")),
    responses((status = 200, body = ResponseObject)))]
async fn cancel(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(api.responses.cancel(&id, &caller).await?.body))
}

/// List what an answer answered.
#[utoipa::path(get, path = "/v1/responses/{id}/input_items", tag = "openai", params(
    ("id" = String, Path, description = "name of a kept answer"), Page,
), responses((status = 200, body = ItemList)))]
async fn input_items(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
    Params(page): Params<Page>,
) -> Result<Json<ItemList>, Failure> {
    let response = api.responses.find(&id, &caller).await?;
    Ok(Json(page.of(response.input)?))
}

impl Page {
    pub(super) fn of(&self, mut items: Vec<Value>) -> Result<ItemList, Fault> {
        let limit = settings::count("limit", self.limit, 1, MAX_PAGE)?.unwrap_or(USUAL_PAGE) as usize;
        match self.order.as_deref() {
            Some("asc") => {}
            None | Some("desc") => items.reverse(),
            Some(_) => return Err(wrong("order", "order must be asc or desc")),
        }
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let place = items.iter().position(|item| item["id"] == after.as_str());
                place.ok_or_else(|| wrong("after", "after names no item of this answer"))? + 1
            }
        };
        let rest = items.split_off(start);
        let has_more = rest.len() > limit;
        let data: Vec<Value> = rest.into_iter().take(limit).collect();
        let id = |item: Option<&Value>| item.and_then(|item| item["id"].as_str()).map(str::to_owned);
        Ok(ItemList {
            object: "list",
            first_id: id(data.first()),
            last_id: id(data.last()),
            has_more,
            data,
        })
    }
}
