//! Which server a request is meant for. A web page whose name was made to lead to this machine
//! (DNS rebinding) still says its own name.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use super::refusal::Refusal;

/// The names of this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    names: Vec<String>,
}

impl Hosts {
    /// In small letters, without port and brackets.
    pub(super) const fn new(names: Vec<String>) -> Self {
        Self { names }
    }

    /// What the request calls this server, if that is one of its names. `local` is the address
    /// that the connection came in by.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap, local: IpAddr) -> Result<Authority, Refusal> {
        let authority = authority(uri, headers)?;
        if self.is_ours(name(&authority), local) {
            return Ok(authority);
        }
        Err(Refusal::misdirected(
            "this server is not called so: use its address or localhost, or add the name to [http] allowed_hosts",
        ))
    }

    fn is_ours(&self, host: &str, local: IpAddr) -> bool {
        if let Ok(address) = host.parse::<IpAddr>() {
            let address = address.to_canonical();
            if address.is_loopback() || address == local.to_canonical() {
                return true;
            }
        }
        host.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|name| name.eq_ignore_ascii_case(host))
    }
}

/// The one authority of a request: of its target, of the header, or of both if they agree.
fn authority(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Refusal> {
    let mut given = headers.get_all(header::HOST).iter();
    let host = match (given.next(), given.next()) {
        (host, None) => host,
        (_, Some(_)) => return Err(Refusal::malformed("the request has two Host headers: send one")),
    };
    let host = host
        .map(|host| {
            let parsed = host.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
            parsed.ok_or_else(|| Refusal::malformed("the Host header is no host name"))
        })
        .transpose()?;
    let authority = match (uri.authority(), host) {
        (Some(target), Some(host)) if *target != host => {
            return Err(Refusal::malformed("the request names two different hosts"));
        }
        (Some(target), _) => target.clone(),
        (None, Some(host)) => host,
        (None, None) => return Err(Refusal::malformed("the request has no Host header: send one")),
    };
    if authority.as_str().contains('@') || name(&authority).is_empty() {
        return Err(Refusal::malformed("the Host header is no host name"));
    }
    Ok(authority)
}

/// Without port, brackets and the dot of a complete name.
pub(super) fn name(authority: &Authority) -> &str {
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, StatusCode};

    use super::*;

    #[expect(
        clippy::unwrap_in_result,
        reason = "what cannot be read is a mistake of the test"
    )]
    fn check(uri: &str, hosts: &[&'static str]) -> Result<Authority, Refusal> {
        let ours = Hosts::new(vec!["ai.example".to_owned(), "fd00::7".to_owned()]);
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_static(host));
        }
        ours.check(
            &uri.parse().unwrap(),
            &headers,
            "::ffff:192.168.1.5".parse().unwrap(),
        )
    }

    #[test]
    fn the_names_of_this_server_are_let_in() {
        for host in [
            "localhost",
            "LOCALHOST:8484",
            "localhost.",
            "127.0.0.1:8484",
            "127.9.9.9",
            "[::1]:8484",
            "[::ffff:127.0.0.1]",
            "192.168.1.5",
            "ai.example",
            "AI.Example.:443",
            "[fd00::7]",
        ] {
            assert!(check("/", &[host]).is_ok(), "{host}");
            assert!(check(&format!("http://{host}/x"), &[]).is_ok(), "{host}");
        }
        assert!(check("http://localhost/", &["localhost"]).is_ok());
    }

    #[test]
    fn the_names_of_others_are_not() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "notlocalhost",
            "192.168.1.6",
            "0.0.0.0",
            "[::]",
            "ai.example.evil",
            "xn--lcalhost-2fb",
        ] {
            let refusal = check("/", &[host]).unwrap_err();
            assert_eq!(refusal.status, Some(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
    }

    #[test]
    fn what_is_unclear_is_refused() {
        for (uri, hosts) in [
            ("/", &[] as &[&str]),
            ("/", &[""]),
            ("/", &["localhost", "localhost"]),
            ("/", &["localhost", "evil.example"]),
            ("http://localhost/", &["evil.example"]),
            ("http://evil.example/", &["localhost"]),
            ("/", &["localhost@evil.example"]),
            ("/", &["local host"]),
            ("/", &["[::1"]),
            ("/", &["localhost:port:port"]),
            ("/", &[":8484"]),
        ] {
            let hosts: Vec<&'static str> = hosts.to_vec();
            let refusal = check(uri, &hosts).unwrap_err();
            assert_eq!(refusal.status, None, "{uri} {hosts:?}");
        }
    }
}
