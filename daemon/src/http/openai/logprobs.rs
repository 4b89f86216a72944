//! How likely the tokens of a text were.

use airunner_core::generate::TokenLogprob;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::answer::finite;

/// Of one choice.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct ChoiceLogprobs {
    pub(super) content: Vec<TokenChance>,
    #[schema(value_type = Option<Vec<TokenChance>>)]
    pub(super) refusal: Option<()>,
}

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct TokenChance {
    pub(super) token: String,
    /// Natural logarithm.
    pub(super) logprob: f32,
    /// Of the token alone, which need not be a whole character.
    pub(super) bytes: Vec<u8>,
    /// The likeliest tokens at this place.
    pub(super) top_logprobs: Vec<TopChance>,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct TopChance {
    pub(super) token: String,
    pub(super) logprob: f32,
    pub(super) bytes: Vec<u8>,
}

impl ChoiceLogprobs {
    pub(super) fn of(tokens: &[TokenLogprob]) -> Self {
        Self {
            content: chances(tokens),
            refusal: None,
        }
    }
}

pub(super) fn chances(tokens: &[TokenLogprob]) -> Vec<TokenChance> {
    tokens
        .iter()
        .map(|token| TokenChance {
            token: text(token),
            logprob: number(token),
            bytes: token.token.clone(),
            top_logprobs: token.top.iter().map(TopChance::from).collect(),
        })
        .collect()
}

impl From<&TokenLogprob> for TopChance {
    fn from(token: &TokenLogprob) -> Self {
        Self {
            token: text(token),
            logprob: number(token),
            bytes: token.token.clone(),
        }
    }
}

pub(super) fn text(token: &TokenLogprob) -> String {
    String::from_utf8_lossy(&token.token).into_owned()
}

pub(super) fn number(token: &TokenLogprob) -> f32 {
    finite(token.logprob)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_token_is_told_with_its_bytes_and_alternatives() {
        let entry = |token: &[u8], logprob, top| TokenLogprob {
            token_id: 1,
            token: token.to_vec(),
            logprob,
            top,
        };
        let token = entry(b"Hi", -0.5, vec![entry(&[0xE2], f32::NEG_INFINITY, Vec::new())]);
        assert_eq!(
            serde_json::to_value(ChoiceLogprobs::of(&[token])).unwrap(),
            json!({"content": [{
                "token": "Hi", "logprob": -0.5, "bytes": [72, 105],
                "top_logprobs": [{"token": "\u{fffd}", "logprob": -9999.0, "bytes": [226]}],
            }], "refusal": null})
        );
    }
}
