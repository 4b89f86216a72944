//! What is answered.

use airunner_core::Fault;
use airunner_core::generate::{Done, FinishReason, TokenLogprob};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::http::answer::Whole;
use crate::http::openai::identity::{FINGERPRINT, now, unique};
use crate::http::openai::logprobs::{number, text};
use crate::http::openai::usage::{CompletionTimings, CompletionUsage};

/// What comes after one or several texts.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct Completion {
    #[serde(flatten)]
    pub(super) head: CompletionHead,
    pub(super) choices: Vec<CompletionChoice>,
    /// In a stream only if asked for, and none before the last piece.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<CompletionUsage>)]
    pub(super) usage: Option<Option<CompletionUsage>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) timings: Option<CompletionTimings>,
}

/// What all parts of an answer share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionHead {
    pub(super) id: String,
    pub(super) object: &'static str,
    /// Seconds since 1970.
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) system_fingerprint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionChoice {
    /// Prompts one after the other, each with its answers.
    pub(super) index: u32,
    pub(super) text: String,
    pub(super) logprobs: Option<CompletionLogprobs>,
    /// `stop` or `length`; none while the answer goes on.
    pub(super) finish_reason: Option<&'static str>,
}

/// How likely the tokens were; the lists go side by side.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(in crate::http) struct CompletionLogprobs {
    tokens: Vec<String>,
    token_logprobs: Vec<f32>,
    /// The likeliest tokens at each place.
    #[schema(value_type = Vec<Object>)]
    top_logprobs: Vec<Map<String, Value>>,
    /// Where each token begins, in characters of the text.
    text_offset: Vec<usize>,
}

impl CompletionHead {
    pub(super) fn new(model: &str) -> Result<Self, Fault> {
        Ok(Self {
            id: unique("cmpl-")?,
            object: "text_completion",
            created: now(),
            model: model.to_owned(),
            system_fingerprint: FINGERPRINT,
        })
    }
}

impl CompletionLogprobs {
    /// Of tokens whose first begins at `offset`.
    pub(super) fn of(entries: &[TokenLogprob], mut offset: usize) -> Self {
        let mut told = Self {
            tokens: Vec::new(),
            token_logprobs: Vec::new(),
            top_logprobs: Vec::new(),
            text_offset: Vec::new(),
        };
        for entry in entries {
            let token = text(entry);
            told.text_offset.push(offset);
            offset += token.chars().count();
            told.tokens.push(token);
            told.token_logprobs.push(number(entry));
            let top = entry.top.iter().map(|top| (text(top), number(top).into()));
            told.top_logprobs.push(top.collect());
        }
        told
    }
}

/// The answers to one prompt, the likeliest first if there are more than wanted.
pub(super) fn best(mut answers: Vec<Whole>, wanted: usize) -> Vec<Whole> {
    if answers.len() > wanted {
        answers.sort_by(|one, other| likelihood(other).total_cmp(&likelihood(one)));
        answers.truncate(wanted);
    }
    answers
}

/// Mean of the log-probabilities of the tokens.
fn likelihood(answer: &Whole) -> f32 {
    let entries = &answer.logprobs;
    #[expect(
        clippy::cast_precision_loss,
        reason = "an answer has at most some thousand tokens"
    )]
    let count = entries.len().max(1) as f32;
    entries.iter().map(number).sum::<f32>() / count
}

impl CompletionChoice {
    pub(super) fn of(index: u32, prompt: &str, answer: &Whole, logprobs: bool) -> Self {
        Self {
            index,
            text: format!("{prompt}{}", answer.text),
            logprobs: logprobs.then(|| CompletionLogprobs::of(&answer.logprobs, 0)),
            finish_reason: Some(finish(&answer.done)),
        }
    }
}

pub(super) const fn finish(done: &Done) -> &'static str {
    match done.finish_reason {
        FinishReason::Stop | FinishReason::Cancelled | FinishReason::ToolCalls => "stop",
        FinishReason::Length => "length",
    }
}
