//! How a client of Ollama says what an answer shall be like.

use std::time::Duration;

use airunner_core::generate::{GenerateRequest, OutputFormat, Sampling, UNLIMITED};
use airunner_core::{Fault, KeepAlive};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};
use utoipa::ToSchema;

use super::super::answer::thinking_variables;

/// What is not listed here, such as `num_gpu` or `mirostat`, is accepted and has no effect.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub(super) struct Options {
    /// Tokens of the conversation; the model is loaded anew if it has fewer.
    #[serde(default, deserialize_with = "whole")]
    pub(super) num_ctx: Option<i64>,
    /// Tokens of the answer; -1, -2 and 0: until the context is full, also for a model with a limit
    /// of its own.
    #[serde(default, deserialize_with = "whole")]
    pub(super) num_predict: Option<i64>,
    /// Negative: by chance.
    #[serde(default, deserialize_with = "whole")]
    pub(super) seed: Option<i64>,
    pub(super) temperature: Option<f32>,
    /// 0 and below: off.
    #[serde(default, deserialize_with = "whole")]
    pub(super) top_k: Option<i64>,
    pub(super) top_p: Option<f32>,
    pub(super) min_p: Option<f32>,
    pub(super) repeat_penalty: Option<f32>,
    pub(super) presence_penalty: Option<f32>,
    pub(super) frequency_penalty: Option<f32>,
    pub(super) stop: Option<Stops>,
}

/// A whole number, however it is written: many clients keep all their numbers as floats.
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let read = number.as_i64().or_else(|| number.as_f64().and_then(of_float));
    read.map(Some)
        .ok_or_else(|| serde::de::Error::custom("expected a whole number"))
}

#[expect(clippy::cast_possible_truncation, reason = "only what fits is converted")]
fn of_float(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9.2e18).then_some(number as i64)
}

/// A text or several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
pub(super) enum Stops {
    One(String),
    Many(Vec<String>),
}

impl Stops {
    pub(super) fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(stop) => vec![stop],
            Self::Many(stops) => stops,
        }
    }
}

impl Options {
    pub(super) fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k.map(|k| u32::try_from(k.max(0)).unwrap_or(u32::MAX)),
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repeat_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            seed: self.seed.and_then(|seed| u64::try_from(seed).ok()),
            ..Sampling::default()
        }
    }

    pub(super) fn max_tokens(&self) -> Option<u32> {
        let limit = self.num_predict?;
        Some(
            u32::try_from(limit)
                .ok()
                .filter(|&limit| limit > 0)
                .unwrap_or(UNLIMITED),
        )
    }

    pub(super) fn context_length(&self) -> Result<Option<u32>, Fault> {
        let Some(length) = self.num_ctx else {
            return Ok(None);
        };
        let length = u32::try_from(length).ok().filter(|&length| length > 0);
        length.map(Some).ok_or_else(|| {
            Fault::invalid("options.num_ctx must be at least 1").figure("param", "options.num_ctx")
        })
    }

    /// Asks for all of it but the context's length.
    pub(super) fn apply(self, request: &mut GenerateRequest) {
        request.sampling = self.sampling();
        request.max_tokens = self.max_tokens();
        request.stop = self.stop.map(Stops::into_vec).unwrap_or_default();
    }
}

/// `""`, `"json"` or a JSON schema.
pub(super) fn format(format: Option<Value>) -> Result<OutputFormat, Fault> {
    match format {
        None | Some(Value::Null) => Ok(OutputFormat::Text),
        Some(Value::String(text)) if text.is_empty() => Ok(OutputFormat::Text),
        Some(Value::String(text)) if text == "json" => Ok(OutputFormat::JsonObject),
        Some(schema @ Value::Object(_)) => Ok(OutputFormat::JsonSchema(schema)),
        Some(Value::String(_) | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            Err(Fault::invalid("format must be \"json\" or a JSON schema").figure("param", "format"))
        }
    }
}

/// Whether to think before the answer: `true`, `false`, or how much.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected true, false or a level such as \"low\"")]
pub(super) enum Think {
    Switch(bool),
    Level(String),
}

const LEVELS: [&str; 4] = ["low", "medium", "high", "max"];

impl Think {
    pub(super) fn is_on(&self) -> bool {
        *self != Self::Switch(false)
    }

    /// As chat templates read it.
    pub(super) fn variables(&self) -> Result<Map<String, Value>, Fault> {
        let mut variables = thinking_variables(self.is_on());
        if let Self::Level(level) = self {
            if !LEVELS.contains(&level.as_str()) {
                let allowed = LEVELS.join(", ");
                return Err(Fault::invalid(format!(
                    "think must be true, false or one of {allowed}"
                )));
            }
            variables.insert("reasoning_effort".to_owned(), level.as_str().into());
        }
        Ok(variables)
    }
}

/// How long to keep the model: a number of seconds or a text such as `5m`; negative: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept(pub(super) KeepAlive);

impl Kept {
    pub(super) fn is_zero(kept: Option<Self>) -> bool {
        kept == Some(Self(KeepAlive::After(Duration::ZERO)))
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            Value::Number(seconds) => seconds.as_f64().and_then(of_seconds),
            Value::String(text) => of_text(text.trim()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        read.map(Self).ok_or_else(|| {
            serde::de::Error::custom("expected seconds or a duration such as \"5m\"; negative keeps for ever")
        })
    }
}

/// As long as a number of seconds may sensibly be: a century.
const LONGEST: f64 = 3.2e9;

fn of_seconds(seconds: f64) -> Option<KeepAlive> {
    if !(0.0..=LONGEST).contains(&seconds) {
        return (!seconds.is_nan()).then_some(KeepAlive::Forever);
    }
    Duration::try_from_secs_f64(seconds).ok().map(KeepAlive::After)
}

const UNITS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// A number, or numbers with units one after the other, as Go writes durations.
fn of_text(text: &str) -> Option<KeepAlive> {
    if let Ok(seconds) = text.parse::<f64>() {
        return of_seconds(seconds);
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, after) = tail.split_at(end);
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
        total += number.parse::<f64>().ok()? * factor;
        rest = after;
    }
    (!text.is_empty()).then(|| of_seconds(if negative { -total } else { total }))?
}

#[cfg(test)]
mod tests {
    use airunner_core::ModelName;
    use airunner_core::generate::Input;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_to_keep_is_a_number_or_a_duration_of_go() {
        let after = |ms| Some(KeepAlive::After(Duration::from_millis(ms)));
        for (value, expected) in [
            (json!(300), after(300_000)),
            (json!(0), after(0)),
            (json!(0.5), after(500)),
            (json!(-1), Some(KeepAlive::Forever)),
            (json!("5m"), after(300_000)),
            (json!("1h30m"), after(5_400_000)),
            (json!("1.5h"), after(5_400_000)),
            (json!("0"), after(0)),
            (json!("0s"), after(0)),
            (json!("-1m"), Some(KeepAlive::Forever)),
            (json!("-1"), Some(KeepAlive::Forever)),
            (json!(1e30), Some(KeepAlive::Forever)),
            (json!("never"), None),
            (json!(""), None),
            (json!("m"), None),
            (json!("5 m"), None),
            (json!("nan"), None),
            (json!(true), None),
        ] {
            let read = serde_json::from_value::<Kept>(value.clone()).ok();
            assert_eq!(read, expected.map(Kept), "{value}");
        }
    }

    #[test]
    fn options_become_sampling() {
        let options: Options = serde_json::from_value(json!({
            "num_predict": -2, "seed": -1.0, "top_k": -1e0, "repeat_penalty": 1.1, "stop": "x",
            "num_gpu": 99, "temperature": null, "num_ctx": 512.0
        }))
        .unwrap();
        assert_eq!(options.context_length().unwrap(), Some(512));
        let name = ModelName::new("tiny").unwrap();
        let mut request = GenerateRequest::new(name, Input::Raw("Hi".into()));
        options.apply(&mut request);
        assert_eq!(
            (request.max_tokens, request.stop),
            (Some(UNLIMITED), vec!["x".to_owned()])
        );
        for (limit, expected) in [(7, 7), (0, UNLIMITED), (-1, UNLIMITED), (i64::MAX, UNLIMITED)] {
            let options: Options = serde_json::from_value(json!({"num_predict": limit})).unwrap();
            assert_eq!(options.max_tokens(), Some(expected));
        }
        assert_eq!(Options::default().max_tokens(), None);
        assert_eq!((request.sampling.top_k, request.sampling.seed), (Some(0), None));
        assert_eq!(request.sampling.repetition_penalty, Some(1.1));
        for bad in [json!({"num_ctx": 0}), json!({"num_ctx": -5})] {
            let options: Options = serde_json::from_value(bad).unwrap();
            assert!(options.context_length().is_err());
        }
        for bad in [
            json!({"stop": [1]}),
            json!({"temperature": "hot"}),
            json!(7),
            json!({"num_ctx": 0.5}),
            json!({"seed": 1e30}),
        ] {
            assert!(serde_json::from_value::<Options>(bad).is_err());
        }
    }

    #[test]
    fn a_format_is_json_or_a_schema() {
        let schema = json!({"type": "object"});
        for (value, expected) in [
            (None, Some(OutputFormat::Text)),
            (Some(json!("")), Some(OutputFormat::Text)),
            (Some(json!("json")), Some(OutputFormat::JsonObject)),
            (Some(schema.clone()), Some(OutputFormat::JsonSchema(schema))),
            (Some(json!("yaml")), None),
            (Some(json!(3)), None),
        ] {
            assert_eq!(format(value).ok(), expected);
        }
    }

    #[test]
    fn thinking_is_switched_or_measured() {
        let on = Think::Level("high".into());
        assert_eq!(on.variables().unwrap()["reasoning_effort"], "high");
        assert_eq!(Think::Switch(false).variables().unwrap()["thinking"], false);
        assert!(Think::Level("very".into()).variables().is_err());
    }
}
