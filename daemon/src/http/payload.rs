//! Bodies, queries and places in paths, with refusals that say what is wrong.

use airunner_core::{ErrorKind, Fault};
use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::api::Api;
use super::failure::Failure;

/// A body that is JSON, whatever its content type says: clients of this field often say nothing.
pub(super) struct Payload<T>(pub(super) T);

/// What stands behind the question mark.
pub(super) struct Params<T>(pub(super) T);

/// What stands in the path.
pub(super) struct Place<T>(pub(super) T);

/// A refusal whose status is not that of its kind.
pub(super) struct Refused(StatusCode, Fault);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = Failure(self.1).into_response();
        *response.status_mut() = self.0;
        response
    }
}

impl<T: DeserializeOwned> FromRequest<Api> for Payload<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refused> {
        let bytes = body(request, api).await?;
        decode(&bytes).map(Self).map_err(bad)
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Params<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, api).await;
        query.map(|Query(value)| Self(value)).map_err(|error| {
            bad(Fault::invalid(format!(
                "the query is wrong: {}",
                error.body_text()
            )))
        })
    }
}

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for Place<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refused> {
        let path: Result<Path<T>, PathRejection> = Path::from_request_parts(parts, api).await;
        path.map(|Path(value)| Self(value)).map_err(|error| {
            bad(Fault::invalid(format!(
                "the path is wrong: {}",
                error.body_text()
            )))
        })
    }
}

/// All of a body, if it is small enough and arrives in time.
pub(super) async fn body(request: Request, api: &Api) -> Result<Bytes, Refused> {
    let limits = *api.limits.borrow();
    let collected = Limited::new(request.into_body(), limits.body_bytes).collect();
    match tokio::time::timeout(limits.body_time, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            Fault::invalid(format!(
                "the body has more than the {} bytes a request may have",
                limits.body_bytes
            )),
        )),
        Ok(Err(_)) => Err(bad(Fault::invalid("the body ended too early"))),
        Err(_) => Err(Refused(
            StatusCode::REQUEST_TIMEOUT,
            Fault::new(
                ErrorKind::ClientStalled,
                format!("the body did not arrive within {} s", limits.body_time.as_secs()),
            ),
        )),
    }
}

/// A value from JSON text. The error names the field.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Fault::invalid("the body is empty: send a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() && field != "." {
            Fault::invalid(format!("{field}: {error}")).figure("param", field)
        } else {
            Fault::invalid(format!("the body is not the JSON that is expected: {error}"))
        }
    })?;
    reader
        .end()
        .map_err(|_| Fault::invalid("the body goes on after its JSON ends"))?;
    Ok(value)
}

fn bad(fault: Fault) -> Refused {
    Refused(
        StatusCode::from_u16(fault.kind.http_status()).unwrap_or(StatusCode::BAD_REQUEST),
        fault,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Message {
        #[expect(dead_code, reason = "only its type matters")]
        role: String,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Chat {
        #[expect(dead_code, reason = "only its type matters")]
        messages: Vec<Message>,
    }

    #[test]
    fn a_refusal_names_the_field() {
        let fault = decode::<Chat>(br#"{"messages": [{"role": "user"}, {"role": 7}]}"#).unwrap_err();
        assert!(fault.message.starts_with("messages[1].role: "), "{fault}");
        assert_eq!(fault.figures["param"], "messages[1].role");
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let nested = "[".repeat(100_000);
        for bad in ["", "  \n", "{", "nonsense", "{} {}", "\"\u{0}\"", &nested] {
            assert_eq!(
                decode::<Value>(bad.as_bytes()).unwrap_err().kind,
                ErrorKind::InvalidArgument
            );
        }
        assert!(decode::<Value>(b"{\"a\": \"\xff\"}").is_err());
        assert!(decode::<Value>(b" {\"a\": 1} \n").is_ok());
    }
}
