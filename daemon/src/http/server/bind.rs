//! Which addresses are wanted, whether one may be taken, and by which names it is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use airunner_platform::host_name;

use crate::config::{HttpSettings, Tls};

/// Where clients of Ollama look.
const OLLAMA: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 11434);

/// A place where is to be listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) address: SocketAddr,
    pub(super) encryption: Encrypted,
    /// Everything else is served without it as well.
    pub(super) optional: bool,
}

/// What tells one encryption from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Encrypted {
    No,
    /// With a certificate of our own for these names.
    Own(Vec<String>),
    /// With this certificate and this key.
    Files(Option<PathBuf>, Option<PathBuf>),
}

/// Every place that the settings ask for; none if nothing is to be served.
pub(super) fn wanted(settings: &HttpSettings) -> Vec<Wanted> {
    let Some(address) = settings.listen else {
        return Vec::new();
    };
    let encryption = match settings.tls {
        Tls::Off => Encrypted::No,
        Tls::SelfSigned => Encrypted::Own(certified(&names(settings, address), address)),
        Tls::Files => Encrypted::Files(settings.tls_certificate.clone(), settings.tls_key.clone()),
    };
    let mut all = vec![Wanted {
        address,
        encryption,
        optional: false,
    }];
    let answers = address.ip() == OLLAMA.ip() || address.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    if settings.ollama_port && !(answers && address.port() == OLLAMA.port()) {
        all.push(Wanted {
            address: OLLAMA,
            encryption: Encrypted::No,
            optional: true,
        });
    }
    all
}

/// Why an address is not taken: on a network, others would read along, or nobody could call. It
/// says which commands change that.
pub(super) fn objection(address: SocketAddr, settings: &HttpSettings, has_keys: bool) -> Option<String> {
    let encrypted = settings.tls != Tls::Off;
    if address.ip().to_canonical().is_loopback() || (encrypted && has_keys) {
        return None;
    }
    let (key, tls) = (
        "`airunner keys create NAME`",
        "`airunner settings set http.tls self-signed`",
    );
    let (lacks, commands) = match (has_keys, encrypted) {
        (false, false) => ("a key and TLS", format!("{key} and {tls}")),
        (false, true) => ("a key", key.to_owned()),
        (true, _) => ("TLS", tls.to_owned()),
    };
    Some(format!(
        "{address} can be reached from other machines and is not served without {lacks}: run {commands}, then ask \
         again (`airunner settings reload` asks for what config.toml says), or listen on 127.0.0.1"
    ))
}

/// What clients may call this server, besides localhost and the address they came by.
pub(super) fn names(settings: &HttpSettings, address: SocketAddr) -> Vec<String> {
    let mut names = settings.allowed_hosts.clone();
    if !address.ip().to_canonical().is_loopback()
        && let Some(name) = host_name()
    {
        let name = name.to_ascii_lowercase();
        if !name.contains('.') {
            names.push(format!("{name}.local"));
        }
        names.push(name);
    }
    names
}

/// The names of a certificate of our own.
pub(super) fn certified(names: &[String], address: SocketAddr) -> Vec<String> {
    let mut all = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    all.extend(names.iter().cloned());
    if !address.ip().is_unspecified() {
        all.push(address.ip().to_canonical().to_string());
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_follows_from_the_settings() {
        let case = |listen: &str, tls, ollama_port| {
            let settings = HttpSettings {
                listen: listen.parse().ok(),
                tls,
                ollama_port,
                ..HttpSettings::default()
            };
            let places = wanted(&settings);
            places
                .iter()
                .map(|place| place.address.to_string())
                .collect::<Vec<_>>()
        };
        assert!(case("", Tls::SelfSigned, true).is_empty());
        assert_eq!(case("[::1]:1", Tls::Off, false), ["[::1]:1"]);
        assert_eq!(case("[::1]:1", Tls::Files, true), ["[::1]:1", "127.0.0.1:11434"]);
        for covers in ["127.0.0.1:11434", "0.0.0.0:11434"] {
            assert_eq!(case(covers, Tls::Off, true), [covers]);
        }
        let own = |allowed: &str| {
            let settings = HttpSettings {
                tls: Tls::SelfSigned,
                allowed_hosts: vec![allowed.to_owned()],
                ..HttpSettings::default()
            };
            wanted(&settings)
        };
        assert_eq!(own("ai.example"), own("ai.example"));
        assert_ne!(own("ai.example"), own("nas.example"), "another certificate");
    }

    #[test]
    fn a_network_needs_a_key_and_encryption() {
        let case = |address: &str, tls, has_keys| {
            let settings = HttpSettings {
                tls,
                ..HttpSettings::default()
            };
            objection(address.parse().unwrap(), &settings, has_keys)
        };
        for address in ["127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!(case(address, Tls::Off, false), None, "{address}");
        }
        for address in ["0.0.0.0:1", "[::]:1", "192.168.1.5:1", "[::ffff:192.168.1.5]:1"] {
            let both = case(address, Tls::Off, false).unwrap();
            assert!(both.contains("`airunner keys create NAME`"), "{both}");
            assert!(
                both.contains("`airunner settings set http.tls self-signed`"),
                "{both}"
            );
            assert!(
                case(address, Tls::SelfSigned, false)
                    .unwrap()
                    .contains("without a key:")
            );
            assert!(case(address, Tls::Off, true).unwrap().contains("without TLS:"));
            assert_eq!(case(address, Tls::SelfSigned, true), None);
            assert_eq!(case(address, Tls::Files, true), None);
        }
    }
}
