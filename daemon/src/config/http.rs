//! Settings of the HTTP API: from what was written to what is meant. The error of each is what
//! would be allowed.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use ipnet::IpNet;

use super::settings::{Auth, Rate, Tls};
use super::value::{Raw, texts};

pub(super) fn auth(raw: Raw<'_>) -> Result<Auth, String> {
    match raw.text() {
        Some("required") => Ok(Auth::Required),
        Some("loopback-open") => Ok(Auth::LoopbackOpen),
        _ => Err("\"required\" or \"loopback-open\"".to_owned()),
    }
}

pub(super) fn tls(raw: Raw<'_>) -> Result<Tls, String> {
    match raw.text() {
        Some("off") => Ok(Tls::Off),
        Some("self-signed") => Ok(Tls::SelfSigned),
        Some("files") => Ok(Tls::Files),
        _ => Err("\"off\", \"self-signed\" or \"files\"".to_owned()),
    }
}

/// Names without scheme and port.
pub(super) fn hosts(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let allowed = || "a list of host names such as [\"ai.example\"], without scheme and port".to_owned();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    let name = |text: &str| {
        let is_address = text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let fits =
            !text.is_empty() && text.chars().all(fits) && (is_address || !text.contains([':', '[', ']']));
        fits.then(|| {
            text.trim_matches(['[', ']'])
                .trim_end_matches('.')
                .to_ascii_lowercase()
        })
    };
    list(raw, name).ok_or_else(allowed)
}

/// Origins as browsers send them. All of them at once cannot be allowed.
pub(super) fn origins(raw: Raw<'_>) -> Result<Vec<String>, String> {
    let allowed = || {
        "a list of origins such as [\"https://app.example\", \"http://localhost:3000\"], each with a scheme and \
         without a path; \"*\" and \"null\" cannot be allowed"
            .to_owned()
    };
    let origin = |text: &str| {
        let (scheme, authority) = text.trim_end_matches('/').split_once("://")?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
        let is_origin = is_scheme && !authority.is_empty() && authority.chars().all(fits);
        is_origin.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
    };
    list(raw, origin).ok_or_else(allowed)
}

/// Networks, or single addresses.
pub(super) fn networks(raw: Raw<'_>) -> Result<Vec<IpNet>, String> {
    let allowed = || {
        "a list of networks or addresses such as [\"192.168.1.0/24\", \"fd00::/8\", \"10.0.0.7\"]".to_owned()
    };
    let network = |text: &str| {
        text.parse::<IpNet>()
            .ok()
            .or_else(|| Some(text.parse::<IpAddr>().ok()?.into()))
    };
    list(raw, network).ok_or_else(allowed)
}

/// An empty text is no limit.
pub(super) fn rate(raw: Raw<'_>) -> Result<Option<Rate>, String> {
    let allowed = || {
        "a number of requests and a time such as \"600/min\", \"10/s\" or \"5000/h\", or \"\" for no limit"
            .to_owned()
    };
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    let rate = || {
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        let count = count
            .trim()
            .parse::<u32>()
            .ok()
            .filter(|count| *count <= 100_000_000)?;
        Some(Rate {
            count: NonZeroU32::new(count)?,
            within: Duration::from_secs(seconds),
        })
    };
    rate().map(Some).ok_or_else(allowed)
}

fn list<T>(raw: Raw<'_>, read: impl FnMut(&str) -> Option<T>) -> Option<Vec<T>> {
    texts(raw)?.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_is_understood() {
        let text = Raw::Environment;
        assert_eq!(
            hosts(text("AI.example, ::1,[::1],nas.")).unwrap(),
            ["ai.example", "::1", "::1", "nas"]
        );
        assert_eq!(
            origins(text("https://App.example/,tauri://localhost,http://[::1]:3000")).unwrap(),
            ["https://app.example", "tauri://localhost", "http://[::1]:3000"]
        );
        let networks = networks(text("10.0.0.0/8,::1,192.0.2.7")).unwrap();
        assert_eq!(
            networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.0/8", "::1/128", "192.0.2.7/32"]
        );
        let rate = rate(text("600/min")).unwrap().unwrap();
        assert_eq!((rate.count.get(), rate.within), (600, Duration::from_secs(60)));
        assert_eq!(super::rate(text("")).unwrap(), None);
        assert!(hosts(text("[]")).unwrap().is_empty());
    }

    #[test]
    fn what_would_open_everything_or_nothing_is_refused() {
        let text = Raw::Environment;
        for bad in ["*", "https://ai.example", "ai.example:8484", "a b", "ai.example,"] {
            assert!(hosts(text(bad)).is_err(), "{bad}");
        }
        for bad in [
            "*",
            "null",
            "app.example",
            "https://",
            "https://a/b",
            "https://*.example",
            "https://u@a",
        ] {
            assert!(origins(text(bad)).is_err(), "{bad}");
        }
        for bad in ["10.0.0.0/33", "everybody", "10.0.0"] {
            assert!(networks(text(bad)).is_err(), "{bad}");
        }
        for bad in ["600", "0/min", "-1/s", "1/day", "x/s", "9999999999/s"] {
            assert!(rate(text(bad)).is_err(), "{bad}");
        }
        for bad in ["", "none", "open"] {
            assert!(auth(text(bad)).is_err() && tls(text(bad)).is_err(), "{bad}");
        }
    }
}
