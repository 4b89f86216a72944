//! Which web page a request comes from, if it comes from one; and what a page of another origin
//! is told (CORS).

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::refusal::Refusal;

/// How long a browser may remember what it was allowed, seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");
const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
/// What pages may read of answers, besides what they always may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "retry-after, ratelimit-limit, ratelimit-remaining, ratelimit-reset, x-request-id, request-id",
);
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
const PRIVATE_ASKED: HeaderName = HeaderName::from_static("access-control-request-private-network");
const PRIVATE_ALLOWED: HeaderName = HeaderName::from_static("access-control-allow-private-network");

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// No page of another origin.
    Own,
    /// A page of this origin, which is allowed.
    Page(HeaderValue),
}

/// The pages that may call.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins {
    allowed: Vec<String>,
}

/// What it takes to tell whether a page is one of ours.
pub(super) struct Target<'a> {
    pub(super) authority: &'a Authority,
    /// `None`: a proxy may have taken the encryption away.
    pub(super) secure: Option<bool>,
    /// A page that a person may come to by a link.
    pub(super) is_page: bool,
}

impl Origins {
    /// In small letters, without a slash at the end.
    pub(super) const fn new(allowed: Vec<String>) -> Self {
        Self { allowed }
    }

    pub(super) fn check(
        &self,
        method: &Method,
        headers: &HeaderMap,
        target: &Target<'_>,
    ) -> Result<Source, Refusal> {
        let mut given = headers.get_all(header::ORIGIN).iter();
        let source = match (given.next(), given.next()) {
            (None, _) => Source::Own,
            (Some(origin), None) => self.source(origin, target)?,
            (Some(_), Some(_)) => return Err(foreign()),
        };
        let elsewhere = headers
            .get_all(SITE)
            .iter()
            .any(|site| site != "same-origin" && site != "none");
        if elsewhere && source == Source::Own && !(target.is_page && is_visit(method, headers)) {
            return Err(foreign());
        }
        Ok(source)
    }

    fn source(&self, origin: &HeaderValue, target: &Target<'_>) -> Result<Source, Refusal> {
        let text = origin.to_str().map_err(|_| foreign())?;
        if is_same(text, target) {
            return Ok(Source::Own);
        }
        if self
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(text))
        {
            return Ok(Source::Page(origin.clone()));
        }
        Err(foreign())
    }
}

fn foreign() -> Refusal {
    Refusal::forbidden("pages of this origin may not call: add it to [http] allowed_origins if it is yours")
}

/// A person who follows a link.
fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name, value| headers.get(name).is_some_and(|given| given == value);
    *method == Method::GET && is(MODE, "navigate") && is(DESTINATION, "document")
}

fn is_same(origin: &str, target: &Target<'_>) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else {
        return false;
    };
    let Ok(authority) = authority.parse::<Authority>() else {
        return false;
    };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    if target.secure.is_some_and(|secure| secure != (scheme == "https")) {
        return false;
    }
    let port = |authority: &Authority| authority.port_u16().unwrap_or(usual);
    authority.host().eq_ignore_ascii_case(target.authority.host())
        && port(&authority) == port(target.authority)
}

/// Whether a browser asks before it sends the true request.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// What it is told. No cookie takes part in anything here, so credentials are never allowed.
pub(super) fn preflight(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED);
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    if asked.get(PRIVATE_ASKED).is_some_and(|asked| asked == "true") {
        headers.insert(PRIVATE_ALLOWED, HeaderValue::from_static("true"));
    }
    response
}

/// Lets the page read the answer.
pub(super) fn permit(source: &Source, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Source::Page(origin) = source {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(
        clippy::unwrap_in_result,
        reason = "what cannot be read is a mistake of the test"
    )]
    fn check(
        is_page: bool,
        secure: Option<bool>,
        given: &[(&'static str, &'static str)],
    ) -> Result<Source, Refusal> {
        let origins = Origins::new(vec![
            "https://app.example".to_owned(),
            "tauri://localhost".to_owned(),
        ]);
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let authority = "localhost:8484".parse().unwrap();
        let target = Target {
            authority: &authority,
            secure,
            is_page,
        };
        origins.check(&Method::GET, &headers, &target)
    }

    #[test]
    fn programs_and_our_own_pages_are_let_in() {
        for given in [
            &[] as &[(&str, &str)],
            &[("sec-fetch-site", "none")],
            &[
                ("origin", "http://localhost:8484"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("origin", "http://LOCALHOST:8484")],
        ] {
            let given: Vec<_> = given.to_vec();
            assert_eq!(
                check(false, Some(false), &given).unwrap(),
                Source::Own,
                "{given:?}"
            );
        }
        assert!(check(false, None, &[("origin", "https://localhost:8484")]).is_ok());
        for origin in ["https://app.example", "tauri://localhost", "https://APP.example"] {
            let page = Source::Page(HeaderValue::from_static(origin));
            let given = [("origin", origin), ("sec-fetch-site", "cross-site")];
            assert_eq!(check(false, Some(false), &given).unwrap(), page);
        }
    }

    #[test]
    fn pages_of_others_are_not() {
        for given in [
            &[("origin", "null")] as &[(&str, &str)],
            &[("origin", "")],
            &[("origin", "http://evil.example")],
            &[("origin", "http://localhost:3000")],
            &[("origin", "https://localhost:8484")],
            &[("origin", "http://localhost:8484.evil.example")],
            &[("origin", "http://localhost:8484@evil.example")],
            &[("origin", "https://app.example.evil")],
            &[("origin", "https://app.example:444")],
            &[("origin", "file://")],
            &[
                ("origin", "http://localhost:8484"),
                ("origin", "http://evil.example"),
            ],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("origin", "http://localhost:8484"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-dest", "image"),
            ],
        ] {
            let given: Vec<_> = given.to_vec();
            assert!(check(true, Some(false), &given).is_err(), "{given:?}");
        }
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(check(true, Some(false), &link).is_ok());
        assert!(check(false, Some(false), &link).is_err());
    }

    #[test]
    fn nothing_is_allowed_to_everybody() {
        let mut asked = HeaderMap::new();
        asked.insert(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_static("authorization"),
        );
        let mut response = preflight(&asked);
        permit(&Source::Own, response.headers_mut());
        assert!(
            !response
                .headers()
                .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        );
        permit(
            &Source::Page(HeaderValue::from_static("https://app.example")),
            response.headers_mut(),
        );
        assert_eq!(
            response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
            "https://app.example"
        );
        assert!(
            !response
                .headers()
                .contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS)
        );
    }
}
