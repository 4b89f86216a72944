//! What is asked for.

use std::collections::BTreeMap;

use airunner_core::Fault;
use airunner_core::generate::{GenerateRequest, Input, Sampling};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::api::model_name;
use crate::http::openai::chat::request::{MAX_CHOICES, StreamOptions, top_k};
use crate::http::openai::refusal::{unsupported, wrong};
use crate::http::openai::settings::{self, KeepAliveTime, StopTexts};

/// Answers one request may have, over all its prompts.
const MAX_ANSWERS: usize = 64;
/// Tokens of an answer, as OpenAI has it, if the request does not say.
const USUAL_LENGTH: u32 = 16;

/// A text to go on with. Fields that are not listed are accepted and change nothing.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub(in crate::http) struct CompletionRequest {
    /// Name of an installed model.
    model: String,
    prompt: Prompts,
    /// Cannot be had: leave it out.
    suffix: Option<String>,
    /// Tokens of one answer; 16 if left out, -1 until the context is full.
    max_tokens: Option<i64>,
    /// Send the answers piece by piece, as server-sent events.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// Answers to each prompt, 1 to 16.
    n: Option<i64>,
    /// Make so many answers and send the likeliest `n`.
    best_of: Option<i64>,
    /// Send the prompt before the answer.
    echo: Option<bool>,
    /// Alternatives per token, 0 to 20; left out: no log-probabilities.
    logprobs: Option<i64>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<i64>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
    frequency_penalty: Option<f32>,
    presence_penalty: Option<f32>,
    /// Added to the logits; the keys are ids of tokens.
    logit_bias: Option<BTreeMap<String, f32>>,
    /// The same seed with the same request gives the same text.
    seed: Option<i64>,
    stop: Option<StopTexts>,
    /// How long the model stays loaded afterwards.
    keep_alive: Option<KeepAliveTime>,
}

/// A text, several, the tokens of one, or those of several.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "expected a text, a list of texts, a list of tokens or a list of lists of tokens"
)]
pub(in crate::http) enum Prompts {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    TokenLists(Vec<Vec<u32>>),
}

/// A request, understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plan {
    /// One per prompt.
    pub(super) requests: Vec<GenerateRequest>,
    /// Answers to each prompt.
    pub(super) choices: u32,
    /// Answers to make of each prompt.
    pub(super) attempts: u32,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) echo: bool,
    pub(super) logprobs: bool,
}

impl CompletionRequest {
    pub(super) fn plan(mut self) -> Result<Plan, Fault> {
        let model = model_name(&self.model).map_err(|fault| fault.figure("param", "model"))?;
        if self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
            return Err(unsupported(
                "suffix",
                "this model cannot fill in the middle of a text: leave suffix out",
            ));
        }
        let stream = self.stream.unwrap_or(false);
        let choices = settings::count("n", self.n, 1, MAX_CHOICES)?.unwrap_or(1);
        let attempts = self.attempts(choices, stream)?;
        let echo = self.echo.unwrap_or(false);
        let top_logprobs = settings::count("logprobs", self.logprobs, 0, 20)?;
        if echo && top_logprobs.is_some() {
            return Err(unsupported(
                "echo",
                "the log-probabilities of a prompt cannot be had: leave echo or logprobs out",
            ));
        }
        let max_tokens = match self.max_tokens {
            None => Some(USUAL_LENGTH),
            given => settings::token_limit("max_tokens", given)?,
        };
        let inputs = self.prompt.clone().inputs()?;
        if inputs.len() * attempts as usize > MAX_ANSWERS {
            return Err(wrong(
                "prompt",
                format!(
                    "{} prompts with {attempts} answers each: at most {MAX_ANSWERS} answers",
                    inputs.len()
                ),
            ));
        }
        let template = GenerateRequest {
            sampling: self.sampling()?,
            max_tokens,
            // The likeliest answers are found by their log-probabilities.
            top_logprobs: top_logprobs.or((attempts > choices).then_some(0)),
            stop: StopTexts::list(self.stop),
            keep_alive: self.keep_alive.map(KeepAliveTime::read).transpose()?,
            ..GenerateRequest::new(model, Input::Tokens(Vec::new()))
        };
        let requests = inputs.into_iter().map(|input| GenerateRequest {
            input,
            ..template.clone()
        });
        Ok(Plan {
            requests: requests.collect(),
            choices,
            attempts,
            stream,
            include_usage: self
                .stream_options
                .and_then(|options| options.include_usage)
                .unwrap_or(false),
            echo,
            logprobs: top_logprobs.is_some(),
        })
    }

    fn attempts(&self, choices: u32, stream: bool) -> Result<u32, Fault> {
        let attempts = settings::count("best_of", self.best_of, 1, MAX_CHOICES)?.unwrap_or(choices);
        if attempts < choices {
            return Err(wrong(
                "best_of",
                "best_of is less than n: it must be at least as much",
            ));
        }
        if attempts > choices && stream {
            return Err(wrong(
                "best_of",
                "the best answers are known only at the end: leave stream or best_of out",
            ));
        }
        Ok(attempts)
    }

    fn sampling(&mut self) -> Result<Sampling, Fault> {
        Ok(Sampling {
            temperature: self.temperature,
            top_k: top_k(self.top_k)?,
            top_p: self.top_p,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
            frequency_penalty: self.frequency_penalty,
            presence_penalty: self.presence_penalty,
            seed: settings::seed(self.seed),
            logit_bias: settings::logit_bias(self.logit_bias.take())?,
        })
    }
}

impl Prompts {
    fn inputs(self) -> Result<Vec<Input>, Fault> {
        let inputs: Vec<Input> = match self {
            Self::Text(text) => vec![Input::Raw(text)],
            Self::Texts(texts) => texts.into_iter().map(Input::Raw).collect(),
            Self::Tokens(tokens) => vec![Input::Tokens(tokens)],
            Self::TokenLists(lists) => lists.into_iter().map(Input::Tokens).collect(),
        };
        if inputs.is_empty() {
            return Err(wrong(
                "prompt",
                "prompt is empty: send at least one character or token",
            ));
        }
        for input in &inputs {
            input
                .validate()
                .map_err(|fault| fault.figure("param", "prompt"))?;
        }
        Ok(inputs)
    }
}
