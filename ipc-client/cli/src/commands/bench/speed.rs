//! Requests whose times are the figures.

use std::time::{Duration, Instant};

use airunner_core::generate::{Done, GenerateRequest, Input, Sampling};
use airunner_core::{Fault, ModelName};
use airunner_ipc_client::Llm;
use tokio::task::JoinSet;

use super::prompts::Prompts;
use crate::failure::Failure;

/// How often a prompt is read.
const ROUNDS: usize = 3;
/// A model that ends its answers early is asked again, at most so often.
const MOST_ANSWERS: usize = 64;

/// What reading prompts took.
#[derive(Default)]
pub(super) struct Read {
    /// Tokens per second.
    pub(super) speeds: Vec<f64>,
    /// To the first token of a prompt that is new.
    pub(super) cold_ms: Vec<f64>,
    /// To the first token of the turn after that.
    pub(super) warm_ms: Vec<f64>,
}

pub(super) struct Asker {
    llm: Llm,
    model: ModelName,
    pub(super) prompts: Prompts,
}

impl Asker {
    pub(super) const fn new(llm: Llm, model: ModelName, prompts: Prompts) -> Self {
        Self { llm, model, prompts }
    }

    pub(super) async fn read_prompts(&self) -> Result<Read, Failure> {
        let mut read = Read::default();
        for _ in 0..ROUNDS {
            let mut prompt = self.prompts.long();
            let cold = self.first_token(prompt.clone()).await?;
            prompt.extend(self.prompts.turn());
            let warm = self.first_token(prompt).await?;
            read.speeds.push(cold.timings.prompt_tokens_per_second);
            read.cold_ms.push(cold.timings.first_token.as_secs_f64() * 1e3);
            read.warm_ms.push(warm.timings.first_token.as_secs_f64() * 1e3);
        }
        Ok(read)
    }

    /// Reads a prompt and answers with one token.
    pub(super) async fn first_token(&self, prompt: Vec<u32>) -> Result<Done, Fault> {
        let request = self.request(prompt, 1);
        Ok(self.llm.answer(request).await?.done)
    }

    /// Tokens per second of so many answers at once, all together.
    pub(super) async fn answers(&self, streams: usize) -> Result<f64, Failure> {
        let mut running = JoinSet::new();
        for _ in 0..streams {
            let requests =
                (0..MOST_ANSWERS).map(|_| self.request(self.prompts.short(), self.prompts.answer_tokens()));
            running.spawn(stream(self.llm.clone(), requests.collect()));
        }
        let mut whole: Option<Span> = None;
        while let Some(span) = running.join_next().await {
            let span = span.map_err(Failure::internal)??;
            whole = Some(whole.map_or(span, |whole| whole.and(span)));
        }
        Ok(whole.and_then(|whole| whole.speed()).ok_or_else(|| {
            Fault::internal("the model ends every answer at once: there is no speed to measure")
        })?)
    }

    /// The answer is drawn, not the likeliest one: that of a senseless prompt often goes in circles.
    fn request(&self, prompt: Vec<u32>, tokens: u32) -> GenerateRequest {
        let mut request = GenerateRequest::new(self.model.clone(), Input::Tokens(prompt));
        request.sampling = Sampling {
            temperature: Some(1.0),
            seed: Some(self.prompts.seed()),
            ..Sampling::default()
        };
        request.max_tokens = Some(tokens);
        request
    }
}

/// Answers one request after the other until there are as many tokens as the first one asks for.
async fn stream(llm: Llm, requests: Vec<GenerateRequest>) -> Result<Span, Fault> {
    let mut whole: Option<Span> = None;
    for request in requests {
        let (begin, wanted) = (Instant::now(), request.max_tokens.unwrap_or(1));
        let answer = llm.answer(request).await?;
        let span = Span::of(begin, &answer.done);
        let so_far = whole.map_or(span, |whole| whole.and(span));
        whole = Some(so_far);
        if so_far.tokens >= wanted {
            break;
        }
    }
    whole.ok_or_else(|| Fault::internal("nothing was asked"))
}

/// Tokens that came one after the other, and when.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Span {
    /// When the first token came.
    first: Instant,
    last: Instant,
    tokens: u32,
    /// Streams it is made of, whose first tokens are no decoding.
    streams: u32,
}

impl Span {
    fn of(begin: Instant, done: &Done) -> Self {
        let first = begin + done.timings.first_token;
        Self {
            first,
            last: first + done.timings.decode,
            tokens: done.usage.completion_tokens,
            streams: 1,
        }
    }

    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            tokens: self.tokens + other.tokens,
            streams: self.streams + other.streams,
        }
    }

    /// Tokens after the first ones, per second.
    fn speed(self) -> Option<f64> {
        let time = self.last.saturating_duration_since(self.first);
        let tokens = self.tokens.saturating_sub(self.streams);
        (time > Duration::ZERO && tokens > 0).then(|| f64::from(tokens) / time.as_secs_f64())
    }
}

/// The middle of some figures; 0 of none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(begin: Instant, first: u64, last: u64, tokens: u32) -> Span {
        Span {
            first: begin + Duration::from_millis(first),
            last: begin + Duration::from_millis(last),
            tokens,
            streams: 1,
        }
    }

    #[test]
    fn answers_that_overlap_are_counted_over_the_time_of_all() {
        let begin = Instant::now();
        assert_eq!(span(begin, 500, 1500, 11).speed(), Some(10.0));
        let both = span(begin, 500, 1500, 11).and(span(begin, 1000, 2500, 11));
        assert_eq!(both.speed(), Some(10.0));
    }

    #[test]
    fn what_has_no_length_has_no_speed() {
        let begin = Instant::now();
        assert_eq!(span(begin, 5, 5, 1).speed(), None);
        assert_eq!(span(begin, 5, 5, 9).speed(), None);
        assert_eq!(span(begin, 5, 9, 0).speed(), None);
    }

    #[test]
    fn the_middle_is_taken() {
        assert_eq!(median(vec![9.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
