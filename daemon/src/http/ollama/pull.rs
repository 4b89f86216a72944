//! `POST /api/pull`.

use airunner_core::Fault;
use airunner_core::download::{Download, DownloadState, PullEvent, PullRequest};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::family::Family;
use super::super::payload::Payload;
use super::super::stream::lines;
use super::names::Named;

/// What to fetch: a repository of the hub, or a name or alias of the catalogue.
#[derive(Deserialize, ToSchema)]
pub(super) struct FetchRequest {
    #[serde(flatten)]
    named: Named,
    /// Lines of JSON as it goes on; without it, true.
    stream: Option<bool>,
}

/// How far something is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct Status {
    status: String,
    /// Names what is fetched: a checksum of repository and commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    /// Bytes of them that are here.
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<u64>,
}

impl Status {
    pub(super) fn new(status: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            ..Self::default()
        }
    }
}

/// Fetches a model. Who leaves does not stop it: the download is the daemon's.
#[utoipa::path(post, path = "/api/pull", tag = "ollama", request_body = FetchRequest, responses(
    (status = 200, body = Status, content_type = "application/x-ndjson"),
    (status = 404, description = "no such repository"),
))]
pub(super) async fn pull(
    State(api): State<Api>,
    Payload(request): Payload<FetchRequest>,
) -> Result<Response, Failure> {
    let text = request.named.text()?;
    let pull = PullRequest {
        source: text.strip_suffix(":latest").unwrap_or(text).to_owned(),
        revision: None,
        name: None,
        level: None,
    };
    let mut events = api.downloads.pull(pull).await?;
    if request.stream == Some(false) {
        while let Some(event) = events.next().await {
            event?;
        }
        return Ok(Json(Status::new("success")).into_response());
    }
    Ok(statuses(told(events)))
}

/// The lines of the download, and of its end.
fn told(
    events: impl Stream<Item = Result<PullEvent, Fault>> + Send + 'static,
) -> impl Stream<Item = Result<Status, Fault>> + Send + 'static {
    let first = stream::iter([Ok(Status::new("pulling manifest"))]);
    first.chain(events.flat_map(|event| {
        stream::iter(match event {
            Ok(PullEvent::Progress(download)) => progress(&download).into_iter().map(Ok).collect(),
            Ok(PullEvent::Installed(_)) => vec![
                Ok(Status::new("verifying sha256 digest")),
                Ok(Status::new("writing manifest")),
                Ok(Status::new("success")),
            ],
            Err(fault) => vec![Err(fault)],
        })
    }))
}

fn progress(download: &Download) -> Option<Status> {
    match download.state {
        DownloadState::Running | DownloadState::Waiting | DownloadState::Verifying
            if download.total_bytes > 0 =>
        {
            let hash = Sha256::digest(format!("{}@{}", download.repository, download.revision));
            let digest: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            Some(Status {
                status: format!("pulling {}", &digest[..12]),
                digest: Some(format!("sha256:{digest}")),
                total: Some(download.total_bytes),
                completed: Some(download.done_bytes),
            })
        }
        DownloadState::Queued
        | DownloadState::Resolving
        | DownloadState::Running
        | DownloadState::Waiting
        | DownloadState::Verifying
        | DownloadState::Publishing
        | DownloadState::Paused
        | DownloadState::Failed
        | DownloadState::Cancelled
        | DownloadState::Done => None,
    }
}

/// A line of a stream of statuses.
#[derive(Serialize)]
#[serde(untagged)]
enum Line {
    Status(Status),
    Error(serde_json::Value),
}

pub(super) fn statuses(statuses: impl Stream<Item = Result<Status, Fault>> + Send + 'static) -> Response {
    lines(statuses.map(|status| match status {
        Ok(status) => Line::Status(status),
        Err(fault) => Line::Error(Family::Ollama.error(&fault)),
    }))
}
