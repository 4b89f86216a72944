//! What a handler answers when something went wrong.

use airunner_core::Fault;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// A fault on its way out. Which body it gets is decided where the family of the request is
/// known; until then it travels as an extension of an empty response.
#[derive(Clone, Debug)]
pub(super) struct Failure(pub(super) Fault);

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self(fault)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The HTTP status of a fault.
pub(super) fn status(fault: &Fault) -> StatusCode {
    StatusCode::from_u16(fault.kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
