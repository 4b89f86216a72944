//! Where a request comes from, and whether that network may call.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header};
use ipnet::IpNet;

use super::refusal::Refusal;
use crate::config::HttpSettings;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Whatever a proxy adds to what it passes on; no program that calls for itself sends these.
const CLAIMS: [HeaderName; 8] = [
    FORWARDED_FOR,
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("cf-connecting-ip"),
];
/// Proxies a request may have come through.
const HOPS: usize = 16;

/// Who may call, and whose word is taken for who calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    proxies: Vec<IpNet>,
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) address: IpAddr,
    /// A proxy that is trusted said so.
    pub(super) proxied: bool,
    /// It runs on this machine, and nobody claims that it speaks for another one.
    pub(super) is_local: bool,
}

impl Networks {
    pub(super) fn new(settings: &HttpSettings) -> Self {
        Self {
            allow: settings.allow.clone(),
            deny: settings.deny.clone(),
            proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Who calls, if it may.
    pub(super) fn check(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, Refusal> {
        let client = self.client(peer.to_canonical(), headers)?;
        let listed = |networks: &[IpNet]| contains(networks, client.address);
        if listed(&self.deny) || !(self.allow.is_empty() || listed(&self.allow)) {
            return Err(Refusal::forbidden("this address may not call"));
        }
        Ok(client)
    }

    /// The nearest address that is no proxy of ours; what is farther may be invented.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, Refusal> {
        let proxied = contains(&self.proxies, peer);
        if !proxied {
            let claims = CLAIMS.iter().any(|name| headers.contains_key(name));
            return Ok(Client {
                address: peer,
                proxied,
                is_local: peer.is_loopback() && !claims,
            });
        }
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = 0;
        let mut address = peer;
        for line in lines {
            let line = line.to_str().map_err(|_| unclear())?;
            for hop in line.rsplit(',') {
                hops += 1;
                address = read(hop).filter(|_| hops <= HOPS).ok_or_else(unclear)?;
                if !contains(&self.proxies, address) {
                    return Ok(Client {
                        address,
                        proxied,
                        is_local: false,
                    });
                }
            }
        }
        Ok(Client {
            address,
            proxied,
            is_local: false,
        })
    }
}

/// An address as proxies write it, perhaps with a port.
fn read(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let address = hop.parse::<IpAddr>().ok();
    let address = address.or_else(|| Some(hop.parse::<std::net::SocketAddr>().ok()?.ip()));
    let bracketed = || hop.strip_prefix('[')?.strip_suffix(']')?.parse::<IpAddr>().ok();
    address.or_else(bracketed).map(|address| address.to_canonical())
}

fn unclear() -> Refusal {
    Refusal::malformed("X-Forwarded-For is no list of addresses")
}

fn contains(networks: &[IpNet], address: IpAddr) -> bool {
    networks
        .iter()
        .any(|network| canonical(network).contains(&address))
}

/// A network of IPv4 written as IPv6.
fn canonical(network: &IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return *network;
    };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(address), Some(prefix)) => IpNet::new(address.into(), prefix).unwrap_or(*network),
        _ => *network,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn networks(allow: &str, deny: &str, proxies: &str) -> Networks {
        let list = |text: &str| {
            text.split_whitespace()
                .map(|text| text.parse().unwrap())
                .collect()
        };
        Networks {
            allow: list(allow),
            deny: list(deny),
            proxies: list(proxies),
        }
    }

    #[expect(
        clippy::unwrap_in_result,
        reason = "what cannot be read is a mistake of the test"
    )]
    fn check(networks: &Networks, peer: &str, forwarded: &[&'static str]) -> Result<Client, Refusal> {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, HeaderValue::from_static(line));
        }
        networks.check(peer.parse().unwrap(), &headers)
    }

    #[test]
    fn lists_say_who_may_call_and_a_denial_wins() {
        let some = networks(
            "192.168.0.0/16 fd00::/8 ::ffff:10.0.0.0/104",
            "192.168.7.0/24 fd00:7::/32",
            "",
        );
        for peer in ["192.168.1.1", "::ffff:192.168.1.1", "fd00::1", "10.1.2.3"] {
            assert!(check(&some, peer, &[]).is_ok(), "{peer}");
        }
        for peer in [
            "192.168.7.1",
            "::ffff:192.168.7.1",
            "fd00:7::1",
            "127.0.0.1",
            "::1",
            "8.8.8.8",
        ] {
            assert!(check(&some, peer, &[]).is_err(), "{peer}");
        }
        let all = networks("", "", "");
        assert!(check(&all, "8.8.8.8", &[]).is_ok());
    }

    #[test]
    fn only_proxies_are_believed_about_who_calls() {
        let some = networks("", "203.0.113.0/24", "10.0.0.0/8 fd00::1/128");
        let address =
            |peer, forwarded: &[&'static str]| check(&some, peer, forwarded).unwrap().address.to_string();
        // Whoever is no proxy speaks for itself.
        assert_eq!(address("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
        // The nearest one that is no proxy counts, whatever it claims about others.
        assert_eq!(
            address("10.0.0.1", &["127.0.0.1, 192.0.2.7, 10.0.0.2"]),
            "192.0.2.7"
        );
        assert_eq!(address("10.0.0.1", &["127.0.0.1", "192.0.2.7:4711"]), "192.0.2.7");
        assert_eq!(address("fd00::1", &["[2001:db8::7]:80"]), "2001:db8::7");
        assert_eq!(address("10.0.0.1", &["::ffff:192.0.2.7"]), "192.0.2.7");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
        assert!(check(&some, "10.0.0.1", &["8.8.8.8, 203.0.113.9"]).is_err());
        for bad in ["", "unknown", "192.0.2.7 8.8.8.8", "192.0.2.7,"] {
            assert!(check(&some, "10.0.0.1", &[bad]).is_err(), "{bad:?}");
        }
        let long: &'static str = "10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,\
                                  10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1,10.0.0.1";
        assert!(check(&some, "10.0.0.1", &[long]).is_err());
    }

    #[test]
    fn whoever_speaks_for_another_is_not_local() {
        let none = networks("", "", "");
        assert!(check(&none, "::ffff:127.0.0.1", &[]).unwrap().is_local);
        assert!(check(&none, "::1", &[]).unwrap().is_local);
        assert!(!check(&none, "127.0.0.1", &["192.0.2.7"]).unwrap().is_local);
        assert!(!check(&none, "192.0.2.7", &[]).unwrap().is_local);
        for name in CLAIMS {
            let headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("192.0.2.7"))]);
            let client = none.check(IpAddr::from([127, 0, 0, 1]), &headers).unwrap();
            assert!(!client.is_local, "{name}");
        }
        let local = networks("", "", "127.0.0.1/32");
        assert!(!check(&local, "127.0.0.1", &["127.0.0.1"]).unwrap().is_local);
    }
}
