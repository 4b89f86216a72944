//! From what was written to what is meant. The error of each is what would be allowed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use airunner_core::memory::{Budget, parse_bytes};
use airunner_core::model::CacheType;
use airunner_core::notification::{NotificationKind, QuietHours};
use airunner_core::{KeepAlive, ModelName};
use airunner_runtimes::Kernels;

use super::settings::LogLevel;

/// A value as it was written.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Raw<'a> {
    Environment(&'a str),
    File(&'a toml_edit::Value),
}

impl Raw<'_> {
    pub(in crate::config) fn text(&self) -> Option<&str> {
        match self {
            Self::Environment(text) => Some(text.trim()),
            Self::File(value) => value.as_str(),
        }
    }

    fn integer(&self) -> Option<i64> {
        match self {
            Self::Environment(text) => text.trim().parse().ok(),
            Self::File(value) => value.as_integer(),
        }
    }

    fn boolean(&self) -> Option<bool> {
        match self {
            Self::Environment("true") => Some(true),
            Self::Environment("false") => Some(false),
            Self::Environment(_) => None,
            Self::File(value) => value.as_bool(),
        }
    }
}

pub(super) fn whole(raw: Raw<'_>, low: u32, high: u32) -> Result<u32, String> {
    raw.integer()
        .and_then(|number| u32::try_from(number).ok())
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| format!("a whole number from {low} to {high}"))
}

pub(super) fn switch(raw: Raw<'_>) -> Result<bool, String> {
    raw.boolean().ok_or_else(|| "true or false".to_owned())
}

/// An IP address and a port; an empty text is none.
pub(super) fn address(raw: Raw<'_>) -> Result<Option<SocketAddr>, String> {
    let allowed = || {
        "an IP address and a port such as \"127.0.0.1:8484\" or \"[::1]:8484\", or \"\" for none".to_owned()
    };
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| allowed())
}

/// An absolute path; an empty text is none.
pub(super) fn path(raw: Raw<'_>) -> Result<Option<PathBuf>, String> {
    let allowed = || "an absolute path in quotes, or \"\" for the usual place".to_owned();
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(Some(path))
    } else {
        Err(allowed())
    }
}

pub(super) fn keep_alive(raw: Raw<'_>) -> Result<KeepAlive, String> {
    let allowed = || "a time such as \"10m\", 0 to unload at once, or -1 to keep models loaded".to_owned();
    let text = match (raw.integer(), raw.text()) {
        (Some(number), _) => number.to_string(),
        (None, Some(text)) => text.to_owned(),
        (None, None) => return Err(allowed()),
    };
    text.parse().map_err(|_| allowed())
}

/// A number of bytes, with or without a unit, at least `low` unless it is 0 and `zero` allows that.
pub(super) fn bytes(raw: Raw<'_>, low: u64, zero: bool) -> Result<u64, String> {
    let allowed = || {
        let or = if zero { ", or 0 for none" } else { "" };
        format!("a number of bytes such as \"64MiB\" or \"2GB\", at least {low}{or}")
    };
    let number = match (raw.integer(), raw.text()) {
        (Some(number), _) => u64::try_from(number).ok(),
        (None, Some(text)) => parse_bytes(text),
        (None, None) => None,
    };
    number
        .filter(|&number| number >= low || (zero && number == 0))
        .ok_or_else(allowed)
}

/// A size or a share; every one of them says what it means for a device of any size.
pub(super) fn budget(raw: Raw<'_>) -> Result<Budget, String> {
    let text = match (raw.integer(), raw.text()) {
        (Some(number), _) => Some(number.to_string()),
        (None, text) => text.map(str::to_owned),
    };
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| "a size such as \"2GiB\", or a share from \"0%\" to \"100%\"".to_owned())
}

/// Names of models, each once; in the environment with commas between them, or `[]` for none.
pub(super) fn models(raw: Raw<'_>) -> Result<Vec<ModelName>, String> {
    let texts = texts(raw)
        .ok_or_else(|| "a list of names of models such as [\"tiny\", \"owner/name\"]".to_owned())?;
    let mut names: Vec<ModelName> = Vec::new();
    for text in texts {
        let name = ModelName::new(text).map_err(|fault| format!("a list of names of models: {fault}"))?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A list of texts.
pub(super) fn texts(raw: Raw<'_>) -> Option<Vec<&str>> {
    match raw {
        Raw::Environment("[]") => Some(Vec::new()),
        Raw::Environment(text) => Some(text.split(',').map(str::trim).collect()),
        Raw::File(value) => value.as_array()?.iter().map(toml_edit::Value::as_str).collect(),
    }
}

/// The address of a hub, without a slash at its end; an empty text is none.
pub(super) fn hub(raw: Raw<'_>) -> Result<Option<String>, String> {
    let text = raw.text().ok_or_else(hub_allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    checked_hub(text).map(Some).ok_or_else(hub_allowed)
}

pub(super) fn hub_allowed() -> String {
    "an address such as \"https://hub.example\" without user, query or fragment, or \"\" for the usual hub"
        .to_owned()
}

/// The address as it is used, if it is one that can be.
pub(super) fn checked_hub(text: &str) -> Option<String> {
    let url = reqwest::Url::parse(text).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then(|| text.trim_end_matches('/').to_owned())
}

/// Where a collector takes traces: on this machine, or encrypted.
pub(super) fn collector(raw: Raw<'_>) -> Result<Option<String>, String> {
    const PATH: &str = "/v1/traces";
    let allowed = || {
        "an address such as \"https://collector.example:4318\", or on this machine \"http://127.0.0.1:4318\", without \
         user, query or fragment, or \"\" to send nothing"
            .to_owned()
    };
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    let address = checked_hub(text).ok_or_else(allowed)?;
    let url = reqwest::Url::parse(&address).map_err(|_| allowed())?;
    if url.scheme() != "https" && !is_here(&url) {
        return Err(allowed());
    }
    Ok(Some(match address.strip_suffix(PATH) {
        Some(_) => address,
        None => address + PATH,
    }))
}

fn is_here(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// A range of times of day; an empty text is none.
pub(super) fn quiet_hours(raw: Raw<'_>) -> Result<Option<QuietHours>, String> {
    let allowed = || "times of day such as \"22:00-07:00\", or \"\" for none".to_owned();
    let text = raw.text().ok_or_else(allowed)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| allowed())
}

/// Kinds of notifications that can be switched off.
pub(super) fn notification_kinds(raw: Raw<'_>) -> Result<Vec<NotificationKind>, String> {
    let all = || {
        NotificationKind::ALL
            .into_iter()
            .filter(|kind| kind.can_be_switched_off())
    };
    let allowed = || {
        let names: Vec<String> = all().map(|kind| format!("\"{kind}\"")).collect();
        format!("a list of kinds of notifications out of {}", names.join(", "))
    };
    let kind = |text| all().find(|kind| kind.as_str() == text);
    let texts = texts(raw).ok_or_else(allowed)?.into_iter();
    texts.map(kind).collect::<Option<_>>().ok_or_else(allowed)
}

pub(super) fn kernels(raw: Raw<'_>) -> Result<Kernels, String> {
    let named = raw.text().and_then(|text| text.parse().ok());
    named.ok_or_else(|| {
        let names: Vec<String> = Kernels::all().map(|kernels| format!("\"{kernels}\"")).collect();
        format!("one of {}", names.join(", "))
    })
}

pub(super) fn cache_type(raw: Raw<'_>) -> Result<CacheType, String> {
    let named = raw.text().and_then(CacheType::parse);
    named.ok_or_else(|| {
        let names = CacheType::ALL.map(|kind| format!("\"{}\"", kind.as_str()));
        format!("one of {}", names.join(", "))
    })
}

pub(super) fn level(raw: Raw<'_>) -> Result<LogLevel, String> {
    raw.text()
        .and_then(|text| LogLevel::ALL.into_iter().find(|level| level.as_str() == text))
        .ok_or_else(|| "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"".to_owned())
}
