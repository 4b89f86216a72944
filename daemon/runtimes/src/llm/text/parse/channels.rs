//! Answers in channels, as gpt-oss writes them: thoughts, calls and the final text are messages
//! with a header each.

use super::Parsed;
use super::identifier::Identifiers;
use crate::llm::text::stop::overlap;
use airunner_core::generate::ToolCallDelta;

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
const END: &str = "<|end|>";
const CALL: &str = "<|call|>";

/// Takes an answer in channels apart as it comes.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    /// The functions the model may call; without any, calls are text.
    tools: Vec<String>,
    /// Only the first call counts.
    single: bool,
    place: Place,
    held: String,
    calls_made: u32,
}

/// Where in the answer the held text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before the mark that begins a message.
    Header,
    Text,
    Reasoning,
    /// In the arguments of a call.
    Call,
    /// In a call that does not count.
    Ignored,
}

impl Channels {
    pub(super) const fn new(tools: Vec<String>) -> Self {
        Self {
            tools,
            single: false,
            place: Place::Header,
            held: String::new(),
            calls_made: 0,
        }
    }

    pub(super) const fn single(mut self, single: bool) -> Self {
        self.single = single;
        self
    }

    /// Whether a call's arguments are still being written.
    pub(super) fn is_in_call(&self) -> bool {
        self.place == Place::Call
    }

    pub(super) const fn calls_made(&self) -> u32 {
        self.calls_made
    }

    pub(super) fn push(&mut self, text: &str, identifiers: &mut Identifiers, pieces: &mut Vec<Parsed>) {
        self.held.push_str(text);
        while self.step(identifiers, pieces) {}
    }

    pub(super) fn finish(&mut self, pieces: &mut Vec<Parsed>) {
        let held = std::mem::take(&mut self.held);
        let is_header = self.place == Place::Header && may_be_header(&held);
        if !is_header {
            self.show(&held, pieces);
        }
    }

    /// True if the held text may be looked at again.
    fn step(&mut self, identifiers: &mut Identifiers, pieces: &mut Vec<Parsed>) -> bool {
        if self.place == Place::Header {
            return self.header(identifiers, pieces);
        }
        let ends = [END, START, CALL, CHANNEL];
        let found = ends
            .iter()
            .filter_map(|end| self.held.find(end).map(|at| (at, end.len())));
        if let Some((at, length)) = found.min() {
            let body = self.held[..at].to_owned();
            self.show(&body, pieces);
            // A header begins with its channel where no other mark ended the message.
            let skipped = if self.held[at..].starts_with(CHANNEL) {
                0
            } else {
                length
            };
            self.held.drain(..at + skipped);
            self.place = Place::Header;
            return true;
        }
        let keep = ends.iter().map(|end| overlap(&self.held, end)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        let body = std::mem::replace(&mut self.held, rest);
        self.show(&body, pieces);
        false
    }

    fn header(&mut self, identifiers: &mut Identifiers, pieces: &mut Vec<Parsed>) -> bool {
        let found = self.held.find(MESSAGE);
        if !may_be_header(&self.held[..found.unwrap_or(self.held.len())]) {
            // The model does not keep to its format.
            self.place = Place::Text;
            return true;
        }
        let Some(at) = found else {
            return false;
        };
        let header = self.held[..at].to_owned();
        self.held.drain(..at + MESSAGE.len());
        let recipient = header.split_once("to=").map(|(_, rest)| word(rest));
        let function = recipient.map(|name| name.strip_prefix("functions.").unwrap_or(name));
        let function = function.filter(|name| self.tools.iter().any(|tool| tool == name));
        let channel = header.split_once(CHANNEL).map_or("final", |(_, rest)| word(rest));
        self.place = match (function, channel) {
            (Some(_), _) if self.single && self.calls_made > 0 => Place::Ignored,
            (Some(name), _) => {
                pieces.push(Parsed::Call(ToolCallDelta {
                    index: self.calls_made,
                    id: Some(identifiers.next()),
                    name: Some(name.to_owned()),
                    arguments: String::new(),
                }));
                self.calls_made += 1;
                Place::Call
            }
            (_, "analysis") => Place::Reasoning,
            (None, _) => Place::Text,
        };
        true
    }

    fn show(&self, text: &str, pieces: &mut Vec<Parsed>) {
        if text.is_empty() {
            return;
        }
        let text = text.to_owned();
        pieces.push(match self.place {
            Place::Ignored => return,
            Place::Header | Place::Text => Parsed::Text(text),
            Place::Reasoning => Parsed::Reasoning(text),
            Place::Call => Parsed::Call(ToolCallDelta {
                index: self.calls_made.saturating_sub(1),
                id: None,
                name: None,
                arguments: text,
            }),
        });
    }
}

/// The first word of a header's part.
fn word(text: &str) -> &str {
    let end = text.find(|letter: char| letter.is_whitespace() || letter == '<');
    &text[..end.unwrap_or(text.len())]
}

/// Whether a message may still begin here.
fn may_be_header(text: &str) -> bool {
    const LONGEST: usize = 512;
    let begun = text.trim_start();
    let begun = begun.strip_prefix(START).unwrap_or(begun);
    let begun = begun.strip_prefix("assistant").unwrap_or(begun).trim_start();
    let starts = |mark: &str| begun.starts_with(mark) || mark.starts_with(begun);
    begun.len() <= LONGEST
        && (starts(CHANNEL) || starts(MESSAGE) || starts("to=") || starts("assistant") || starts(START))
}
