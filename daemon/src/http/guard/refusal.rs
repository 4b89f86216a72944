//! A request that is not let in.

use airunner_core::{ErrorKind, Fault};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::http::failure::Failure;

/// Why, and with which status if it is not that of the fault.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) fault: Fault,
    pub(super) status: Option<StatusCode>,
}

impl Refusal {
    pub(super) fn malformed(message: &str) -> Self {
        Fault::invalid(message).into()
    }

    pub(super) fn forbidden(message: &str) -> Self {
        Fault::new(ErrorKind::PermissionDenied, message).into()
    }

    /// The request was meant for another server.
    pub(super) fn misdirected(message: &str) -> Self {
        Self {
            status: Some(StatusCode::MISDIRECTED_REQUEST),
            ..Self::forbidden(message)
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { fault, status: None }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let unknown = self.fault.kind == ErrorKind::Unauthenticated;
        let mut response = Failure(self.fault).into_response();
        if let Some(status) = self.status {
            *response.status_mut() = status;
        }
        if unknown {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"AI Runner\""),
            );
        }
        response
    }
}
