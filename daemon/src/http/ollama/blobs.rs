//! `HEAD` and `POST /api/blobs/{digest}`: files to make models of.

use airunner_core::{ErrorKind, Fault};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;

use super::super::api::Api;
use super::super::failure::Failure;
use super::super::payload::Place;
use crate::models::{Announced, BlobDigest, Upload};

/// Tells, to `HEAD` too, whether a file is here.
#[utoipa::path(get, path = "/api/blobs/{digest}", tag = "ollama",
    params(("digest" = String, Path, description = "sha256: and 64 hexadecimal digits")), responses(
    (status = 200, description = "it is here"),
    (status = 400, description = "that is no digest"),
    (status = 404, description = "it is not here"),
))]
pub(super) async fn blob(
    State(api): State<Api>,
    Place(digest): Place<String>,
) -> Result<StatusCode, Failure> {
    let digest = read(&digest)?;
    if api.models.has_blob(digest.clone()).await? {
        return Ok(StatusCode::OK);
    }
    Err(Fault::new(ErrorKind::NotFound, format!("no file {digest} is here")).into())
}

/// Takes a file, to make a model of it with `/api/create`. One that no model was made of goes
/// after a day.
#[utoipa::path(post, path = "/api/blobs/{digest}", tag = "ollama",
    params(("digest" = String, Path, description = "sha256: and 64 hexadecimal digits")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "the file"), responses(
    (status = 200, description = "it was here already"),
    (status = 201, description = "it is here"),
    (status = 400, description = "it is not what the digest says"),
    (status = 413, description = "it is too long"),
))]
pub(super) async fn upload(
    State(api): State<Api>,
    Place(digest): Place<String>,
    request: Request,
) -> Result<StatusCode, Response> {
    let refused = |fault: Fault| Failure(fault).into_response();
    let digest = read(&digest).map_err(refused)?;
    let was_here = api.models.has_blob(digest.clone()).await.map_err(refused)?;
    let announced = Announced {
        digest,
        length: length(&request),
        most: api.limits.borrow().upload_bytes,
    };
    if announced.length.is_some_and(|length| length > announced.most) {
        return Err(too_long(announced.most));
    }
    let most = announced.most;
    let upload = api.models.upload(announced);
    match receive(&api, upload, request.into_body(), most).await {
        Ok(()) if was_here => Ok(StatusCode::OK),
        Ok(()) => Ok(StatusCode::CREATED),
        Err(Stopped::TooLong) => Err(too_long(most)),
        Err(Stopped::Failed(fault)) => Err(refused(fault)),
    }
}

enum Stopped {
    TooLong,
    Failed(Fault),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Failed(fault)
    }
}

/// A file may take as long as it likes, but never stand still.
async fn receive(api: &Api, mut upload: Upload, body: Body, most: u64) -> Result<(), Stopped> {
    let mut pieces = body.into_data_stream();
    let mut received = 0;
    let patience = api.limits.borrow().body_time;
    loop {
        let piece = tokio::time::timeout(patience, pieces.next()).await;
        let piece = piece.map_err(|_| stalled(patience.as_secs()))?;
        let Some(piece) = piece else {
            return Ok(upload.finish().await?);
        };
        let piece = piece.map_err(|_| Fault::invalid("the file ended too early: send it again"))?;
        received += piece.len() as u64;
        if received > most {
            return Err(Stopped::TooLong);
        }
        upload.write(piece.into()).await?;
    }
}

fn read(digest: &str) -> Result<BlobDigest, Fault> {
    BlobDigest::parse(digest).ok_or_else(|| {
        Fault::invalid("the digest of a file is sha256: and 64 hexadecimal digits").figure("param", "digest")
    })
}

fn length(request: &Request) -> Option<u64> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_long(most: u64) -> Response {
    let fault = Fault::invalid(format!(
        "the file has more than the {most} bytes that http.upload_limit allows"
    ));
    let mut response = Failure(fault).into_response();
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}

fn stalled(seconds: u64) -> Fault {
    Fault::new(
        ErrorKind::ClientStalled,
        format!("nothing of the file came for {seconds} s: send it again"),
    )
}
