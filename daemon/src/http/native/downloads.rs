//! Downloads that run, wait or rest.

use airunner_core::download::DownloadId;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::views::{DownloadBody, ErrorBody};
use crate::http::api::Api;
use crate::http::failure::Failure;
use crate::http::payload::Place;

pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list_downloads))
        .routes(routes!(pause_download))
        .routes(routes!(resume_download))
        .routes(routes!(cancel_download))
}

#[derive(Serialize, ToSchema)]
struct DownloadsBody {
    downloads: Vec<DownloadBody>,
}

/// The downloads, the oldest first.
#[utoipa::path(get, path = "/downloads", tag = "downloads", responses(
    (status = 200, body = DownloadsBody),
    (status = "5XX", body = ErrorBody),
))]
async fn list_downloads(State(api): State<Api>) -> Result<Json<DownloadsBody>, Failure> {
    let downloads = api.downloads.list().await?;
    Ok(Json(DownloadsBody {
        downloads: downloads.into_iter().map(DownloadBody::from).collect(),
    }))
}

/// Stops a download and keeps what is here.
#[utoipa::path(post, path = "/downloads/{id}/pause", tag = "downloads", params(("id" = u64, Path)), responses(
    (status = 200, body = DownloadBody),
    (status = "4XX", body = ErrorBody),
))]
async fn pause_download(
    State(api): State<Api>,
    Place(id): Place<u64>,
) -> Result<Json<DownloadBody>, Failure> {
    Ok(Json(api.downloads.pause(DownloadId(id)).await?.into()))
}

/// Goes on with a download.
#[utoipa::path(post, path = "/downloads/{id}/resume", tag = "downloads", params(("id" = u64, Path)), responses(
    (status = 200, body = DownloadBody),
    (status = "4XX", body = ErrorBody),
))]
async fn resume_download(
    State(api): State<Api>,
    Place(id): Place<u64>,
) -> Result<Json<DownloadBody>, Failure> {
    Ok(Json(api.downloads.resume(DownloadId(id)).await?.into()))
}

/// Stops a download and deletes what is here.
#[utoipa::path(post, path = "/downloads/{id}/cancel", tag = "downloads", params(("id" = u64, Path)), responses(
    (status = 200, body = DownloadBody),
    (status = "4XX", body = ErrorBody),
))]
async fn cancel_download(
    State(api): State<Api>,
    Place(id): Place<u64>,
) -> Result<Json<DownloadBody>, Failure> {
    Ok(Json(api.downloads.cancel(DownloadId(id)).await?.into()))
}
