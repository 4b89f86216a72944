//! Pausing the daemon for a while.

use std::time::Duration;

use airunner_core::pause::PauseRequest;
use airunner_core::{Fault, KeepAlive, ModelName};
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::{ErrorBody, PauseBody};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Payload;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(pause))
        .routes(routes!(resume))
}

/// How long, and how urgently.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PauseAsked {
    /// Until it ends by itself, such as `1h30m`; without it only `resume` ends the pause.
    #[serde(rename = "for")]
    length: Option<String>,
    /// Cancel running requests instead of letting them finish.
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, ToSchema)]
struct PausedBody {
    paused: PauseBody,
    /// Models whose memory is back.
    unloaded: Vec<String>,
    freed_bytes: u64,
    /// Models that finish what they were asked before, and are unloaded then.
    finishing: Vec<String>,
}

/// Unloads every model and refuses whatever would load or run one, until it is resumed or its
/// time is over.
///
/// Requests that are being answered finish, unless `force` is set. Refused ones get status 503
/// with the reason `paused`. Answers when the memory of what was idle is back.
#[utoipa::path(post, path = "/pause", tag = "machine", request_body = PauseAsked, responses(
    (status = 200, body = PausedBody),
    (status = "4XX", body = ErrorBody),
))]
async fn pause(
    State(api): State<Api>,
    Payload(asked): Payload<PauseAsked>,
) -> Result<Json<PausedBody>, Failure> {
    let length = asked.length.as_deref().map(length).transpose()?;
    let request = PauseRequest {
        length,
        force: asked.force,
    };
    request.check().map_err(|fault| fault.figure("param", "for"))?;
    let done = api.pausing.pause(request).await?;
    let names = |names: Vec<ModelName>| names.iter().map(ToString::to_string).collect();
    Ok(Json(PausedBody {
        paused: done.pause.into(),
        unloaded: names(done.unloaded),
        freed_bytes: done.freed_bytes,
        finishing: names(done.finishing),
    }))
}

/// Written as keep-alive times are.
fn length(text: &str) -> Result<Duration, Fault> {
    match text.parse() {
        Ok(KeepAlive::After(length)) => Ok(length),
        Ok(KeepAlive::Forever) | Err(_) => {
            let message = "for is no time: use a number with s, m or h such as 90m, or leave it out";
            Err(Fault::invalid(message).figure("param", "for"))
        }
    }
}

#[derive(Serialize, ToSchema)]
struct ResumedBody {
    was_paused: bool,
}

/// Ends a pause; nothing if there is none.
#[utoipa::path(post, path = "/resume", tag = "machine", responses(
    (status = 200, body = ResumedBody),
    (status = "5XX", body = ErrorBody),
))]
async fn resume(State(api): State<Api>) -> Result<Json<ResumedBody>, Failure> {
    let was_paused = api.pausing.resume().await?;
    Ok(Json(ResumedBody { was_paused }))
}
