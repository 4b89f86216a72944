//! The answer of one request, from tokens to events.

use std::sync::Arc;

use airunner_core::generate::{FinishReason, GenerateEvent, TextDelta, TokenLogprob};

use super::eos::EosSet;
use super::parse::{OutputParser, Parsed};
use super::stop::StopMatcher;
use super::stream::TextStream;
use super::tokenizer::Tokenizer;
use crate::llm::sampling::{Logprobs, Sampled};

/// Takes the tokens of an answer and gives what its reader sees: whole characters, nothing of a
/// stop string, reasoning and tool calls apart.
#[derive(Debug)]
pub struct Output {
    tokenizer: Tokenizer,
    eos: Arc<EosSet>,
    stream: TextStream,
    stops: StopMatcher,
    parser: OutputParser,
    ended: bool,
    /// Of tokens whose text has not left yet.
    logprobs: Vec<TokenLogprob>,
}

impl Output {
    #[must_use]
    pub fn new(
        tokenizer: Tokenizer,
        eos: Arc<EosSet>,
        stream: TextStream,
        stops: StopMatcher,
        parser: OutputParser,
    ) -> Self {
        Self {
            tokenizer,
            eos,
            stream,
            stops,
            parser,
            ended: false,
            logprobs: Vec::new(),
        }
    }

    /// The events that a token completes, which are often none. After the end there are no more.
    #[must_use]
    pub fn push(&mut self, sampled: &Sampled) -> Vec<GenerateEvent> {
        if self.stopped() {
            return Vec::new();
        }
        if self.eos.contains(sampled.token) {
            self.ended = true;
            return Vec::new();
        }
        if let Some(logprobs) = &sampled.logprobs {
            self.logprobs
                .push(spell(&self.tokenizer, sampled.token, logprobs));
        }
        let text = self.stream.push(&self.tokenizer, sampled.token);
        if text.is_empty() {
            return Vec::new();
        }
        let text = self.stops.push(&text);
        let pieces = self.parser.push(&text);
        self.events(pieces)
    }

    /// Whether the answer is over: an end-of-sequence token or a stop string came.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.ended || self.stops.stopped()
    }

    /// Everything held back. Called once, whatever ended the answer.
    #[must_use]
    pub fn finish(&mut self) -> Vec<GenerateEvent> {
        let mut text = String::new();
        if !self.stops.stopped() {
            let last = self.stream.finish();
            text.push_str(&self.stops.push(&last));
        }
        if self.stops.stopped() {
            // These belong to the stop string, which nobody sees.
            self.logprobs.clear();
        } else {
            text.push_str(&self.stops.finish());
        }
        let mut pieces = self.parser.push(&text);
        pieces.extend(self.parser.finish());
        let mut events = self.events(pieces);
        if !self.logprobs.is_empty() {
            let logprobs = std::mem::take(&mut self.logprobs);
            events.push(GenerateEvent::Text(TextDelta {
                text: String::new(),
                logprobs,
            }));
        }
        events
    }

    /// Why the answer ended, after [`finish`](Self::finish); `Length` if nothing in it ended it.
    #[must_use]
    pub fn finish_reason(&self) -> FinishReason {
        match (self.stopped(), self.parser.calls_made()) {
            (false, _) => FinishReason::Length,
            (true, 0) => FinishReason::Stop,
            (true, _) => FinishReason::ToolCalls,
        }
    }

    /// Each text takes the log-probabilities gathered so far; those of a tool call are dropped
    /// with its marks.
    fn events(&mut self, pieces: Vec<Parsed>) -> Vec<GenerateEvent> {
        let mut events = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let logprobs = std::mem::take(&mut self.logprobs);
            events.push(match piece {
                Parsed::Text(text) => GenerateEvent::Text(TextDelta { text, logprobs }),
                Parsed::Reasoning(text) => GenerateEvent::Reasoning(TextDelta { text, logprobs }),
                Parsed::Call(call) => GenerateEvent::ToolCall(call),
            });
        }
        events
    }
}

fn spell(tokenizer: &Tokenizer, token: u32, logprobs: &Logprobs) -> TokenLogprob {
    let entry = |token_id: u32, logprob: f32, top: Vec<TokenLogprob>| TokenLogprob {
        token_id,
        token: tokenizer.token_bytes(token_id),
        logprob,
        top,
    };
    let top = logprobs
        .top
        .iter()
        .map(|&(token, logprob)| entry(token, logprob, Vec::new()))
        .collect();
    entry(token, logprobs.logprob, top)
}
