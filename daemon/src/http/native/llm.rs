//! Language models: which there are, and getting them into memory and out of it.

use std::time::Duration;

use airunner_core::Fault;
use airunner_core::access::Caller;
use airunner_core::conversation::{HistoryEntry, Page};
use airunner_core::model::{LoadRequest, Model, ModelKind};
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::chat::{self, MessageBody, PriorityBody, Said, keep_alive};
use super::views::{ErrorBody, ModelBody, level, moment};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::{Params, Payload};
use crate::http::stream::{events, named, silent_ping};
use crate::models::{Acquisition, Turn};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(models))
        .routes(routes!(load))
        .routes(routes!(unload))
        .routes(routes!(history))
}

/// Models that answer in text.
#[derive(Serialize, ToSchema)]
struct LlmModels {
    models: Vec<LlmModel>,
    /// Who answers when nobody is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<String>,
}

#[derive(Serialize, ToSchema)]
struct LlmModel {
    /// What to write into `model`.
    id: String,
    #[serde(flatten)]
    model: ModelBody,
}

/// The language models.
#[utoipa::path(get, path = "/llm/models", tag = "llm", responses((status = 200, body = LlmModels)))]
async fn models(State(api): State<Api>) -> Json<LlmModels> {
    let models = api.models.list().into_iter();
    let models = models.filter(|model| model.kind == ModelKind::Llm);
    let default = api.inference.default_model().await.ok();
    Json(LlmModels {
        models: models
            .map(|model| LlmModel {
                id: model.name.to_string(),
                model: model.into(),
            })
            .collect(),
        default: default.map(|name| name.to_string()),
    })
}

/// What to load.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Load {
    model: String,
    /// How long it stays after its last request, such as `10m`; `0`, or `-1` for ever.
    keep_alive: Option<String>,
    /// Kept when others need memory.
    pinned: Option<bool>,
    /// Tokens of one conversation.
    #[schema(minimum = 1)]
    context_length: Option<u32>,
    /// Precision: `none`, `fp16`, `bf16`, `8bit`, `4bit` or `2bit`.
    level: Option<String>,
    priority: Option<PriorityBody>,
    /// How long it may wait for memory, milliseconds.
    max_wait_ms: Option<u64>,
    /// Tell how far it is, as server-sent events.
    #[serde(default)]
    stream: bool,
}

/// A model that is in memory.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct LoadedBody {
    /// `success`.
    status: &'static str,
    model: ModelBody,
}

impl LoadedBody {
    fn new(model: Model) -> Self {
        Self {
            status: "success",
            model: model.into(),
        }
    }
}

impl TryFrom<Load> for LoadRequest {
    type Error = Fault;

    fn try_from(load: Load) -> Result<Self, Fault> {
        if load.context_length == Some(0) {
            return Err(
                Fault::invalid("context_length is 0: ask for at least 1").figure("param", "context_length")
            );
        }
        let name = crate::http::api::model_name(&load.model)?;
        Ok(Self {
            keep_alive: keep_alive(load.keep_alive.as_deref())?,
            pinned: load.pinned,
            context_length: load.context_length,
            level: level(load.level.as_deref())?,
            priority: load.priority.map(Into::into).unwrap_or_default(),
            max_wait: load.max_wait_ms.map(Duration::from_millis),
            ..Self::new(name)
        })
    }
}

/// Loads a model, and answers when it is loaded.
///
/// With `stream`: server-sent events `queued`, `loading`, and `done` or `error` as the last.
#[utoipa::path(post, path = "/llm/load", tag = "llm", request_body = Load, responses(
    (status = 200, content((LoadedBody = "application/json"), (Said = "text/event-stream"))),
    (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody),
))]
async fn load(State(api): State<Api>, Payload(load): Payload<Load>) -> Result<Response, Failure> {
    let streams = load.stream;
    let request = LoadRequest::try_from(load)?;
    api.models.model(&request.name)?;
    let mut acquisition = api.models.load(request).await?;
    if streams {
        let told = stream::unfold(Some(acquisition), next_of_load);
        return Ok(events(told, silent_ping()));
    }
    loop {
        if let Turn::Granted(lease) = acquisition.turn().await? {
            return Ok(Json(LoadedBody::new(*lease.model)).into_response());
        }
    }
}

async fn next_of_load(
    waiting: Option<Acquisition>,
) -> Option<(axum::response::sse::Event, Option<Acquisition>)> {
    let mut waiting = waiting?;
    let said = |said: Said| named(said.name(), &said);
    Some(match waiting.turn().await {
        Ok(Turn::Queued(queued)) => (said(Said::queued(queued)), Some(waiting)),
        Ok(Turn::Loading(progress)) => (said(Said::loading(progress)), Some(waiting)),
        Ok(Turn::Granted(lease)) => (named("done", &LoadedBody::new(*lease.model)), None),
        Err(fault) => (said(Said::error(&fault)), None),
    })
}

/// What to take out of memory.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Unload {
    /// Without it the one that answers when nobody is named.
    model: Option<String>,
    /// Cancel its requests instead of waiting for them.
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, ToSchema)]
struct Unloaded {
    /// `success`.
    status: &'static str,
    model: String,
    /// False if it was not in memory.
    was_loaded: bool,
}

/// Takes a model out of memory, and answers when its memory is back.
#[utoipa::path(post, path = "/llm/unload", tag = "llm", request_body = Unload, responses(
    (status = 200, body = Unloaded),
    (status = "4XX", body = ErrorBody),
    (status = "5XX", body = ErrorBody),
))]
async fn unload(State(api): State<Api>, Payload(unload): Payload<Unload>) -> Result<Json<Unloaded>, Failure> {
    let model = chat::model(&api, unload.model.as_deref()).await?;
    let was_loaded = api.models.unload(model.clone(), unload.force).await?;
    Ok(Json(Unloaded {
        status: "success",
        model: model.to_string(),
        was_loaded,
    }))
}

/// Which part of a list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Paging {
    /// How many, 1 to 200.
    #[param(minimum = 1, maximum = 200)]
    pub(super) limit: Option<u32>,
    /// How many to leave out first.
    pub(super) offset: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct History {
    messages: Vec<HistoryBody>,
    /// How many there are altogether.
    total: u64,
}

#[derive(Serialize, ToSchema)]
struct HistoryBody {
    conversation_id: String,
    title: String,
    #[serde(flatten)]
    message: MessageBody,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    created_at: String,
}

impl From<HistoryEntry> for HistoryBody {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            conversation_id: entry.conversation.0,
            title: entry.title,
            message: entry.message.message.into(),
            model: entry.message.model,
            created_at: moment(entry.message.created_at),
        }
    }
}

/// Messages of the stored conversations, the newest first.
#[utoipa::path(get, path = "/llm/history", tag = "conversations", params(Paging), responses(
    (status = 200, body = History),
    (status = "4XX", body = ErrorBody),
))]
async fn history(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(paging): Params<Paging>,
) -> Result<Json<History>, Failure> {
    let page = Page::new(paging.limit, paging.offset)?;
    let listing = api.conversations.history(&caller, page).await?;
    Ok(Json(History {
        messages: listing.items.into_iter().map(HistoryBody::from).collect(),
        total: listing.total,
    }))
}
