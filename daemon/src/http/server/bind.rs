//! Whether an address may be taken, and by which names it is reached.

use std::net::SocketAddr;

use airunner_platform::host_name;

use crate::config::{HttpSettings, Tls};

/// Why an address is not taken: on a network, others would read along, or nobody could call. It
/// says which commands change that.
pub(super) fn objection(address: SocketAddr, settings: &HttpSettings, has_keys: bool) -> Option<String> {
    let encrypted = settings.tls != Tls::Off;
    if address.ip().to_canonical().is_loopback() || (encrypted && has_keys) {
        return None;
    }
    let (lacks, commands) = match (has_keys, encrypted) {
        (false, false) => (
            "a key and TLS",
            "`airunner keys create NAME`, then `AIRUNNER_HTTP_TLS=self-signed airunner restart`",
        ),
        (false, true) => ("a key", "`airunner keys create NAME`, then `airunner restart`"),
        (true, _) => (
            "TLS",
            "`airunner stop`, then `AIRUNNER_HTTP_TLS=self-signed airunner start`",
        ),
    };
    Some(format!(
        "{address} can be reached from other machines and is not served without {lacks}: run {commands} (tls = \
         \"self-signed\" in [http] keeps it so), or listen on 127.0.0.1"
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
                both.contains("`AIRUNNER_HTTP_TLS=self-signed airunner restart`"),
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
