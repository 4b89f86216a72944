//! Jobs: seen, followed, ended.

use airunner_core::access::Caller;
use airunner_core::conversation::Page;
use airunner_core::job::{Job, JobId};
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use axum::{Extension, Json};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::llm::Paging;
use super::views::{ErrorBody, JobBody};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::{Params, Place};
use crate::http::stream::{events, named, silent_ping};

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_jobs))
        .routes(routes!(get_job, end_job))
        .routes(routes!(job_events))
}

#[derive(Serialize, ToSchema)]
struct JobsBody {
    jobs: Vec<JobBody>,
    /// How many there are altogether.
    total: u64,
}

/// The jobs, the newest first.
#[utoipa::path(get, path = "/jobs", tag = "jobs", params(Paging), responses(
    (status = 200, body = JobsBody),
    (status = "4XX", body = ErrorBody),
))]
async fn list_jobs(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Params(paging): Params<Paging>,
) -> Result<Json<JobsBody>, Failure> {
    let page = Page::new(paging.limit, paging.offset)?;
    let listing = api.jobs.list(&caller, page).await?;
    Ok(Json(JobsBody {
        jobs: listing.items.into_iter().map(JobBody::from).collect(),
        total: listing.total,
    }))
}

/// How far a job is, and what came of it.
#[utoipa::path(get, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn get_job(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<JobBody>, Failure> {
    Ok(Json(api.jobs.get(&caller, JobId(id)).await?.into()))
}

/// Cancels a job and answers when it has stopped; forgets one that is over.
#[utoipa::path(delete, path = "/jobs/{id}", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = JobBody),
    (status = "4XX", body = ErrorBody),
))]
async fn end_job(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Json<JobBody>, Failure> {
    Ok(Json(api.jobs.cancel(&caller, JobId(id)).await?.into()))
}

/// Follows a job as server-sent events: `state`, `progress`, and `done` as the last.
///
/// The data of each is the whole job.
#[utoipa::path(get, path = "/jobs/{id}/events", tag = "jobs", params(("id" = String, Path)), responses(
    (status = 200, body = JobBody, content_type = "text/event-stream"),
    (status = "4XX", body = ErrorBody),
))]
async fn job_events(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    Place(id): Place<String>,
) -> Result<Response, Failure> {
    let watch = api.jobs.follow(&caller, JobId(id)).await?;
    let following = Following { watch, last: None };
    Ok(events(
        stream::unfold(Some(following), Following::next),
        silent_ping(),
    ))
}

struct Following {
    watch: watch::Receiver<Job>,
    /// What was told last.
    last: Option<Job>,
}

impl Following {
    async fn next(following: Option<Self>) -> Option<(Event, Option<Self>)> {
        let mut following = following?;
        if following.last.is_some() && following.watch.changed().await.is_err() {
            // The daemon ends, and the job goes on when it is there again.
            return None;
        }
        let job = following.watch.borrow_and_update().clone();
        let is_over = job.state.is_over();
        let same_state = following.last.replace(job.clone()).map(|last| last.state) == Some(job.state);
        let name = match (is_over, same_state) {
            (true, _) => "done",
            (false, true) => "progress",
            (false, false) => "state",
        };
        let event = named(name, &JobBody::from(job));
        Some((event, (!is_over).then_some(following)))
    }
}
