//! Fields that several requests have.

use std::collections::BTreeMap;
use std::time::Duration;

use airunner_core::generate::UNLIMITED;
use airunner_core::{Fault, KeepAlive};
use serde::Deserialize;
use utoipa::ToSchema;

use super::refusal::wrong;

/// One text or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(in crate::http) enum StopTexts {
    One(String),
    Several(Vec<String>),
}

impl StopTexts {
    pub(super) fn list(stop: Option<Self>) -> Vec<String> {
        match stop {
            None => Vec::new(),
            Some(Self::One(text)) => vec![text],
            Some(Self::Several(texts)) => texts,
        }
    }
}

/// How long the model stays loaded: seconds, or a text such as `10m`; -1 is for ever.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected seconds or a text such as \"10m\"")]
pub(in crate::http) enum KeepAliveTime {
    Seconds(f64),
    Text(String),
}

impl KeepAliveTime {
    pub(super) fn read(self) -> Result<KeepAlive, Fault> {
        match self {
            Self::Seconds(seconds) if seconds < 0.0 => Ok(KeepAlive::Forever),
            Self::Seconds(seconds) => Duration::try_from_secs_f64(seconds)
                .map(KeepAlive::After)
                .map_err(|_| wrong("keep_alive", format!("keep_alive is {seconds}: that is too long"))),
            Self::Text(text) => text
                .parse()
                .map_err(|fault: Fault| fault.figure("param", "keep_alive")),
        }
    }
}

/// A number of tokens; -1 means as many as there is room for, whatever the model's maker says.
pub(super) fn token_limit(param: &str, value: Option<i64>) -> Result<Option<u32>, Fault> {
    match value {
        None => Ok(None),
        Some(-1) => Ok(Some(UNLIMITED)),
        Some(number) => u32::try_from(number)
            .ok()
            .filter(|limit| *limit > 0)
            .map(Some)
            .ok_or_else(|| {
                wrong(
                    param,
                    format!("{param} is {number}: ask for at least 1, or leave it out"),
                )
            }),
    }
}

/// A number that must be between two others.
pub(super) fn count(param: &str, value: Option<i64>, low: u32, high: u32) -> Result<Option<u32>, Fault> {
    let Some(number) = value else { return Ok(None) };
    u32::try_from(number)
        .ok()
        .filter(|number| (low..=high).contains(number))
        .map(Some)
        .ok_or_else(|| {
            wrong(
                param,
                format!("{param} is {number}: it must be between {low} and {high}"),
            )
        })
}

/// Texts of token ids, as JSON has no other keys.
pub(super) fn logit_bias(entries: Option<BTreeMap<String, f32>>) -> Result<BTreeMap<u32, f32>, Fault> {
    let read = |(key, bias): (String, f32)| {
        let shown: String = key.chars().take(32).collect();
        key.parse().map(|token: u32| (token, bias)).map_err(|_| {
            wrong(
                "logit_bias",
                format!("logit_bias: {shown:?} is not the id of a token"),
            )
        })
    };
    entries.unwrap_or_default().into_iter().map(read).collect()
}

/// What is negative is a number as good as any other.
pub(super) fn seed(seed: Option<i64>) -> Option<u64> {
    seed.map(i64::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_positive_and_minus_one_is_no_limit() {
        assert_eq!(token_limit("max_tokens", None).unwrap(), None);
        assert_eq!(token_limit("max_tokens", Some(-1)).unwrap(), Some(UNLIMITED));
        assert_eq!(token_limit("max_tokens", Some(7)).unwrap(), Some(7));
        for bad in [0, -2, i64::MAX] {
            assert_eq!(
                token_limit("max_tokens", Some(bad)).unwrap_err().figures["param"],
                "max_tokens"
            );
        }
        assert_eq!(count("n", Some(16), 1, 16).unwrap(), Some(16));
        assert!(count("n", Some(17), 1, 16).is_err() && count("n", Some(0), 1, 16).is_err());
    }

    #[test]
    fn keep_alive_is_a_number_or_a_text() {
        let read = |json: &str| serde_json::from_str::<KeepAliveTime>(json).unwrap().read();
        assert_eq!(read("-1").unwrap(), KeepAlive::Forever);
        assert_eq!(read("0").unwrap(), KeepAlive::After(Duration::ZERO));
        assert_eq!(
            read("\"10m\"").unwrap(),
            KeepAlive::After(Duration::from_secs(600))
        );
        for bad in ["1e300", "\"soon\""] {
            assert_eq!(read(bad).unwrap_err().figures["param"], "keep_alive");
        }
    }

    #[test]
    fn biases_are_of_tokens() {
        let entries = |key: &str| Some(BTreeMap::from([(key.to_owned(), 1.0)]));
        assert_eq!(logit_bias(entries("42")).unwrap()[&42], 1.0);
        assert!(logit_bias(entries("word")).is_err());
    }
}
