//! The key that a request presents. It is taken out of the request, so that nothing behind the
//! guard can write it down.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// How pages present a key when they open a WebSocket, since they can set no header there.
const PROTOCOL: &str = "airunner.key.";

/// What came in place of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Presented {
    Nothing,
    Key(String),
    /// Several different ones, or something that is no key.
    Unclear,
}

/// Takes the key out.
pub(super) fn take(headers: &mut HeaderMap) -> Presented {
    let mut given: Vec<Option<String>> = Vec::new();
    for value in headers.get_all(header::AUTHORIZATION) {
        given.push(bearer(value));
    }
    for value in headers.get_all(API_KEY) {
        given.push(value.to_str().ok().map(|key| key.trim().to_owned()));
    }
    given.extend(take_protocols(headers).into_iter().map(Some));
    headers.remove(header::AUTHORIZATION);
    headers.remove(API_KEY);
    given.dedup();
    match &mut given[..] {
        [] => Presented::Nothing,
        [Some(key)] if key.is_empty() => Presented::Nothing,
        [Some(key)] => Presented::Key(std::mem::take(key)),
        _ => Presented::Unclear,
    }
}

fn bearer(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let (scheme, key) = text.split_once(' ').unwrap_or((text, ""));
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim().to_owned())
}

/// The other subprotocols stay.
fn take_protocols(headers: &mut HeaderMap) -> Vec<String> {
    let (mut keys, mut others) = (Vec::new(), Vec::new());
    for value in headers.get_all(header::SEC_WEBSOCKET_PROTOCOL) {
        for protocol in value.to_str().unwrap_or_default().split(',') {
            let protocol = protocol.trim();
            match protocol.strip_prefix(PROTOCOL) {
                Some(key) => keys.push(key.to_owned()),
                None if protocol.is_empty() => {}
                None => others.push(protocol.to_owned()),
            }
        }
    }
    if !keys.is_empty() {
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        if let Ok(value) = HeaderValue::from_str(&others.join(", "))
            && !others.is_empty()
        {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in given {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_key_is_found_in_every_form_and_taken_out() {
        for given in [
            &[("authorization", "Bearer air_x")] as &[(&str, &str)],
            &[("authorization", "bearer   air_x ")],
            &[("x-api-key", "air_x")],
            &[("x-api-key", "air_x"), ("authorization", "Bearer air_x")],
            &[("sec-websocket-protocol", "airunner, airunner.key.air_x")],
        ] {
            let given: Vec<_> = given.to_vec();
            let mut headers = headers(&given);
            assert_eq!(
                take(&mut headers),
                Presented::Key("air_x".to_owned()),
                "{given:?}"
            );
            assert!(!format!("{headers:?}").contains("air_x"));
        }
        let mut upgrade = headers(&[("sec-websocket-protocol", "airunner,airunner.key.air_x, other")]);
        take(&mut upgrade);
        assert_eq!(upgrade["sec-websocket-protocol"], "airunner, other");
    }

    #[test]
    fn nothing_is_not_a_key_and_two_are_none() {
        for given in [
            &[] as &[(&str, &str)],
            &[("authorization", "Bearer ")],
            &[("x-api-key", "")],
        ] {
            let given: Vec<_> = given.to_vec();
            assert_eq!(take(&mut headers(&given)), Presented::Nothing, "{given:?}");
        }
        for given in [
            &[("authorization", "Basic YTpi")] as &[(&str, &str)],
            &[("authorization", "air_x")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
            &[("authorization", "Bearer a"), ("x-api-key", "b")],
        ] {
            let given: Vec<_> = given.to_vec();
            assert_eq!(take(&mut headers(&given)), Presented::Unclear, "{given:?}");
        }
    }
}
