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
        self.ended |= self.parser.is_over();
        self.events(pieces)
    }

    /// Nothing may follow: the answer is complete.
    pub fn end(&mut self) {
        self.ended = true;
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

    /// The stop string that ended the answer.
    #[must_use]
    pub fn stop_sequence(&self) -> Option<&str> {
        self.stops.found()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::parse::OutputFormat;
    use super::*;

    /// Byte-level words, one per token; those in angle or square brackets are special.
    fn tokenizer(words: &[&str]) -> Tokenizer {
        let vocabulary: serde_json::Map<String, serde_json::Value> = words
            .iter()
            .enumerate()
            .map(|(id, word)| ((*word).to_owned(), id.into()))
            .collect();
        let special = words
            .iter()
            .enumerate()
            .filter(|(_, word)| word.starts_with(['<', '[']));
        let added = special.map(|(id, word)| {
            json!({"id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true})
        });
        Tokenizer::from_json(&json!({
            "version": "1.0", "added_tokens": added.collect::<Vec<_>>(), "normalizer": null,
            "pre_tokenizer": null, "post_processor": null, "decoder": {"type": "ByteLevel",
            "add_prefix_space": false, "trim_offsets": false, "use_regex": false},
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": words[0]},
        }))
    }

    struct Answer {
        events: Vec<GenerateEvent>,
        reason: FinishReason,
        /// Tokens that were taken before the end.
        taken: usize,
    }

    const WORDS: [&str; 12] = [
        "Hello",
        "Ġworld",
        "<|im_end|>",
        "<tool_call>",
        "</tool_call>",
        "{\"name\":Ġ\"f\"}",
        "Ã",
        "©",
        "<pad>",
        "<think>",
        "</think>",
        "ĊEND",
    ];

    fn answer(words: &[&str], stops: &[&str], tools: &[&str]) -> Answer {
        let tokenizer = tokenizer(&WORDS);
        let eos = Arc::new(EosSet::new(&[], None, Some("<|im_end|>"), &tokenizer));
        let format = OutputFormat::detect("<tool_call> <think>", |_| false);
        let tools: Vec<String> = tools.iter().map(|name| (*name).to_owned()).collect();
        let shown = format
            .marks(!tools.is_empty())
            .filter_map(|mark| tokenizer.token_to_id(mark))
            .collect();
        let stops: Vec<String> = stops.iter().map(|stop| (*stop).to_owned()).collect();
        let mut output = Output::new(
            tokenizer.clone(),
            eos,
            TextStream::alone(&tokenizer).showing(shown),
            StopMatcher::new(&stops),
            OutputParser::new(format.clone(), false, tools, 1),
        );
        let (mut events, mut taken) = (Vec::new(), 0);
        for word in words {
            let token = tokenizer.token_to_id(word).unwrap();
            let logprobs = Logprobs {
                logprob: -0.5,
                top: vec![(token, -0.5)],
            };
            events.extend(output.push(&Sampled {
                token,
                logprobs: Some(logprobs),
            }));
            taken += 1;
            if output.stopped() {
                break;
            }
        }
        events.extend(output.finish());
        Answer {
            events,
            reason: output.finish_reason(),
            taken,
        }
    }

    /// Text with the ids that its log-probabilities name.
    fn texts(answer: &Answer) -> Vec<(&str, Vec<u32>)> {
        let texts = answer.events.iter().filter_map(|event| {
            let (GenerateEvent::Text(delta) | GenerateEvent::Reasoning(delta)) = event else {
                return None;
            };
            Some((
                delta.text.as_str(),
                delta.logprobs.iter().map(|entry| entry.token_id).collect(),
            ))
        });
        texts.collect()
    }

    #[test]
    fn an_answer_ends_at_its_end_token_and_whole_characters_leave() {
        let answer = answer(
            &["Hello", "Ġworld", "Ã", "<pad>", "©", "<|im_end|>", "Hello"],
            &[],
            &[],
        );
        assert_eq!(
            texts(&answer),
            [("Hello", vec![0]), (" world", vec![1]), ("é", vec![6, 8, 7])]
        );
        assert_eq!((answer.reason, answer.taken), (FinishReason::Stop, 6));
    }

    #[test]
    fn what_is_cut_off_is_flushed_and_counts_as_length() {
        let answer = answer(&["Hello", "Ã"], &["\nEND"], &[]);
        assert_eq!(texts(&answer), [("Hello", vec![0]), ("\u{fffd}", vec![6])]);
        assert_eq!(answer.reason, FinishReason::Length);
    }

    #[test]
    fn a_stop_string_ends_the_answer_and_is_not_shown() {
        let answer = answer(&["Hello", "ĊEND", "Ġworld"], &["ENDING", "\nEN"], &[]);
        assert_eq!(texts(&answer), [("Hello", vec![0])]);
        assert_eq!((answer.reason, answer.taken), (FinishReason::Stop, 2));
    }

    #[test]
    fn calls_are_events_and_the_reason() {
        let words = [
            "<think>",
            "Hello",
            "</think>",
            "<tool_call>",
            "{\"name\":Ġ\"f\"}",
            "</tool_call>",
            "<|im_end|>",
        ];
        let answer = answer(&words, &[], &["f"]);
        assert!(matches!(&answer.events[0], GenerateEvent::Reasoning(delta) if delta.text == "Hello"));
        let GenerateEvent::ToolCall(call) = &answer.events[1] else {
            panic!("{:?}", answer.events)
        };
        assert_eq!((call.name.as_deref(), call.arguments.as_str()), (Some("f"), "{}"));
        assert_eq!((answer.events.len(), answer.reason), (2, FinishReason::ToolCalls));
    }

    #[test]
    fn log_probabilities_spell_bytes() {
        let answer = answer(&["Ã", "©"], &[], &[]);
        let GenerateEvent::Text(delta) = &answer.events[0] else {
            panic!("{:?}", answer.events)
        };
        assert_eq!(delta.logprobs[0].token, [0xc3]);
        assert_eq!(delta.logprobs[1].top[0].token, [0xa9]);
    }
}
