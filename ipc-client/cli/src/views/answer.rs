//! Answers.

use airunner_core::generate::{Timings, Usage};
use airunner_ipc_client::CalledTool;
use serde::Serialize;

/// `airunner chat --json`.
#[derive(Debug, Serialize)]
pub(crate) struct AnswerView<'a> {
    pub(crate) text: &'a str,
    pub(crate) finish_reason: &'static str,
    pub(crate) usage: UsageView,
    pub(crate) timings: TimingsView,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(crate) reasoning: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) tool_calls: Vec<CallView<'a>>,
}

#[derive(Debug, Serialize)]
pub(crate) struct CallView<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a str,
}

impl<'a> From<&'a CalledTool> for CallView<'a> {
    fn from(call: &'a CalledTool) -> Self {
        Self {
            id: &call.id,
            name: &call.name,
            arguments: &call.arguments,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct UsageView {
    prompt_tokens: u32,
    cached_tokens: u32,
    completion_tokens: u32,
}

impl From<Usage> for UsageView {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt_tokens,
            cached_tokens: usage.cached_tokens,
            completion_tokens: usage.completion_tokens,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct TimingsView {
    queue_ms: f64,
    load_ms: f64,
    prompt_ms: f64,
    first_token_ms: f64,
    decode_ms: f64,
    prompt_tokens_per_second: f64,
    tokens_per_second: f64,
}

impl From<Timings> for TimingsView {
    fn from(timings: Timings) -> Self {
        let ms = |time: std::time::Duration| rounded(time.as_secs_f64() * 1e3);
        Self {
            queue_ms: ms(timings.queue),
            load_ms: ms(timings.load),
            prompt_ms: ms(timings.prompt),
            first_token_ms: ms(timings.first_token),
            decode_ms: ms(timings.decode),
            prompt_tokens_per_second: rounded(timings.prompt_tokens_per_second),
            tokens_per_second: rounded(timings.tokens_per_second),
        }
    }
}

/// To thousandths: more digits are noise.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::samples::value;
    use super::*;

    #[test]
    fn an_answer_has_the_fields_of_the_contract() {
        let view = AnswerView {
            text: "Hi",
            finish_reason: "stop",
            usage: Usage {
                prompt_tokens: 3,
                cached_tokens: 1,
                completion_tokens: 2,
            }
            .into(),
            timings: Timings {
                decode: Duration::from_micros(1500),
                ..Timings::default()
            }
            .into(),
            reasoning: "",
            tool_calls: Vec::new(),
        };
        assert_eq!(
            value(&view),
            json!({
                "text": "Hi",
                "finish_reason": "stop",
                "usage": { "prompt_tokens": 3, "cached_tokens": 1, "completion_tokens": 2 },
                "timings": {
                    "queue_ms": 0.0, "load_ms": 0.0, "prompt_ms": 0.0, "first_token_ms": 0.0, "decode_ms": 1.5,
                    "prompt_tokens_per_second": 0.0, "tokens_per_second": 0.0
                }
            })
        );
    }
}
