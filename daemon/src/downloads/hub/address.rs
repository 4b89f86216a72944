//! Which addresses may be talked to: a hub, or a host it redirects to, must not be able to make
//! the daemon ask things of the user's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::error::HubError;

/// Hosts and addresses that are allowed.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    allow_private: bool,
    /// Host and port of the endpoint if the user named a private address there.
    own: Option<(String, u16)>,
    /// Host and port of the endpoint if the user named one that is spoken to in plain text.
    plain: Option<(String, u16)>,
}

impl Policy {
    pub(super) fn new(endpoint: &Url, allow_private: bool) -> Self {
        let named =
            host_and_port(endpoint).filter(|(host, _)| is_local_name(host) || is_private_literal(host));
        Self {
            allow_private,
            own: named,
            plain: host_and_port(endpoint).filter(|_| endpoint.scheme() == "http"),
        }
    }

    /// Checked before every request, so also after every redirect.
    pub(super) fn check(&self, url: &Url) -> Result<(), HubError> {
        let refused = |why| refused(url, why);
        let (host, port) = host_and_port(url).ok_or_else(|| refused("it has no host"))?;
        let loopback = is_local_name(&host) || literal(&host).is_some_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if loopback || self.is_plain_endpoint(url) => {}
            // What a name means is looked at before it is asked.
            "http" if self.allow_private && literal(&host).is_none_or(|address| !is_public(address)) => {}
            _ => return Err(refused(PLAIN)),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused("its address holds a user name"));
        }
        let private = is_local_name(&host) || is_private_literal(&host);
        let own = self.own.as_ref().is_some_and(|own| *own == (host, port));
        if private && !own && !self.allow_private {
            return Err(refused(PRIVATE));
        }
        Ok(())
    }

    /// Says whether the credentials may go there: plain text with them stays in private networks.
    /// Without them it goes to no public address but the one that the user named.
    pub(super) async fn may_know_token(&self, url: &Url) -> Result<bool, HubError> {
        if url.scheme() == "https" || is_in_private_network(url).await {
            return Ok(true);
        }
        if self.is_plain_endpoint(url) {
            return Ok(false);
        }
        Err(refused(url, PLAIN))
    }

    /// Checked when it is known who answered.
    pub(super) fn check_answer(&self, url: &Url, address: IpAddr) -> Result<(), HubError> {
        let (host, _) = host_and_port(url).unwrap_or_default();
        if !self.allows(&host, address) {
            return Err(refused(url, PRIVATE));
        }
        if url.scheme() != "https" && is_public(address) && !self.is_plain_endpoint(url) {
            return Err(refused(url, PLAIN));
        }
        Ok(())
    }

    fn is_plain_endpoint(&self, url: &Url) -> bool {
        self.plain.is_some() && self.plain == host_and_port(url)
    }

    /// Checked with the very addresses that are connected to, so that a name cannot change its
    /// meaning in between.
    pub(super) fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.allow_private || is_public(address) || self.own.as_ref().is_some_and(|(own, _)| own == host)
    }
}

/// Why a private address is refused.
pub(super) const PRIVATE: &str =
    "it is in a private network or on this machine; set downloads.allow_private_addresses if that is meant";

const PLAIN: &str = "only https is spoken to other machines";

fn refused(url: &Url, why: &'static str) -> HubError {
    HubError::Refused {
        host: url.host_str().unwrap_or_default().to_owned(),
        why,
    }
}

async fn is_in_private_network(url: &Url) -> bool {
    let Some((host, port)) = host_and_port(url) else {
        return false;
    };
    if is_local_name(&host) || is_private_literal(&host) {
        return true;
    }
    let Ok(found) = tokio::net::lookup_host((host.as_str(), port)).await else {
        return false;
    };
    let public: Vec<bool> = found.map(|address| is_public(address.ip())).collect();
    !public.is_empty() && !public.contains(&true)
}

fn host_and_port(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_ascii_lowercase(), url.port_or_known_default()?))
}

fn is_local_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host == "localhost" || host.ends_with(".localhost")
}

/// The address, if the host is one.
fn literal(host: &str) -> Option<IpAddr> {
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

fn is_private_literal(host: &str) -> bool {
    literal(host).is_some_and(|address| !is_public(address))
}

/// True for addresses that belong to somebody on the internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        // This network, shared by carriers, protocol assignments, benchmarks, reserved.
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(inside) = embedded_v4(&segments) {
        return is_public_v4(inside);
    }
    // Only this block is handed out to the internet; in it are Teredo and documentation.
    (0x2000..0x4000).contains(&segments[0])
        && !(segments[0] == 0x2001 && (segments[1] == 0 || segments[1] == 0xdb8))
}

/// The IPv4 address that packets to this one would end at.
fn embedded_v4(segments: &[u16; 8]) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Mapped, translated by NAT64, 6to4.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(*high, *low)),
        [0x2002, high, low, ..] => Some(v4(*high, *low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn only_addresses_of_the_internet_are_public() {
        for address in [
            "1.1.1.1",
            "52.84.1.2",
            "2606:4700::1111",
            "64:ff9b::101:101",
            "::ffff:8.8.8.8",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "64:ff9b::a00:1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "fc00::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn private_hosts_are_refused_unless_they_were_configured() {
        let public = Policy::new(&url("https://hub.example"), false);
        let own = Policy::new(&url("http://127.0.0.1:8080"), false);
        let private = Policy::new(&url("https://hub.example"), true);
        for (address, by_default, by_own, by_private) in [
            ("https://hub.example/x", true, true, true),
            ("http://hub.example/x", false, false, true),
            ("https://10.0.0.1/x", false, false, true),
            ("https://[::1]/x", false, false, true),
            ("http://127.0.0.1:8080/x", false, true, true),
            ("http://127.0.0.1:8081/x", false, false, true),
            ("http://localhost:8080/x", false, false, true),
            ("https://0x7f.1/x", false, false, true),
            ("https://2130706433/x", false, false, true),
            ("https://user@hub.example/x", false, false, false),
            ("ftp://hub.example/x", false, false, false),
            ("file:///etc/passwd", false, false, false),
        ] {
            assert_eq!(public.check(&url(address)).is_ok(), by_default, "{address}");
            assert_eq!(own.check(&url(address)).is_ok(), by_own, "{address}");
            assert_eq!(private.check(&url(address)).is_ok(), by_private, "{address}");
        }
    }

    #[tokio::test]
    async fn plain_text_goes_to_nobody_on_the_internet_unless_that_is_the_hub_and_never_with_a_token() {
        let private = Policy::new(&url("https://hub.example"), true);
        let plain = Policy::new(&url("http://8.8.8.8:80"), false);
        let public = url("http://8.8.8.8/x");
        assert!(private.check(&public).is_err());
        assert!(private.may_know_token(&public).await.is_err());
        assert!(plain.check(&public).is_ok());
        assert!(!plain.may_know_token(&public).await.unwrap());
        assert!(plain.check(&url("http://8.8.4.4/x")).is_err());
        for address in ["https://8.8.8.8/x", "http://10.0.0.1/x", "http://localhost:1/x"] {
            assert!(private.check(&url(address)).is_ok(), "{address}");
            assert!(private.may_know_token(&url(address)).await.unwrap(), "{address}");
        }
        let named = url("http://cdn.example/x");
        assert!(private.check_answer(&named, "8.8.8.8".parse().unwrap()).is_err());
        assert!(private.check_answer(&named, "10.0.0.1".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_name_that_means_this_machine_is_not_connected_to() {
        let policy = Policy::new(&url("https://hub.example"), false);
        assert!(policy.allows("hub.example", "1.1.1.1".parse().unwrap()));
        assert!(!policy.allows("hub.example", "127.0.0.1".parse().unwrap()));
        let own = Policy::new(&url("http://localhost:8080"), false);
        assert!(own.allows("localhost", "127.0.0.1".parse().unwrap()));
        assert!(!own.allows("cdn.example", "127.0.0.1".parse().unwrap()));
    }
}
