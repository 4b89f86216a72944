//! The parser of one answer.

use airunner_core::chat::Tool;
use airunner_core::generate::ToolCallDelta;

use super::calls::{Call, Read, read, read_closed};
use super::channels::Channels;
use super::format::{Body, OutputFormat};
use super::identifier::Identifiers;
use super::kinds::Kinds;
use super::streamed::{Streamed, head};
use crate::llm::text::stop::overlap;

/// A piece of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    Text(String),
    Reasoning(String),
    Call(ToolCallDelta),
}

/// Takes an answer apart as it comes, and holds back only what may yet turn out to be a mark.
#[derive(Clone, Debug)]
pub struct OutputParser {
    format: OutputFormat,
    /// The functions the model may call.
    tools: Vec<String>,
    identifiers: Identifiers,
    calls_made: u32,
    place: Place,
    /// Nothing but white space came since the beginning, the reasoning's end or the last call.
    fresh: bool,
    /// The reasoning is over, or there is text already.
    reasoned: bool,
    held: String,
    /// Bytes of the held JSON when it was last looked at.
    tried: usize,
    /// For models that write in channels: everything is taken apart there.
    channels: Option<Channels>,
    /// Only the first call counts.
    single: bool,
    /// The call whose arguments leave as they come.
    streamed: Option<Streamed>,
    /// Function and parameter of everything that may be text, and what else it may be.
    texts: Vec<(String, String, Kinds)>,
}

/// Where in the answer the held text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Text,
    /// `begun` once anything but white space came.
    Reasoning {
        begun: bool,
    },
    /// Behind the mark that begins calls; whether the mark was written.
    Calls {
        marked: bool,
    },
}

/// Whether the held text may be looked at again at once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Again,
    Wait,
}

impl OutputParser {
    /// `opened` if the prompt ended inside the reasoning; `tools` are the names of the functions
    /// the model may call; `seed` makes the ids of its calls.
    #[must_use]
    pub fn new(format: OutputFormat, opened: bool, tools: Vec<String>, seed: u64) -> Self {
        let channels = format.has_channels().then(|| Channels::new(tools.clone()));
        let format = OutputFormat {
            calls: format.calls.filter(|_| !tools.is_empty()),
            ..format
        };
        let opened = opened && format.reasoning.is_some();
        Self {
            format,
            tools,
            identifiers: Identifiers::new(seed),
            calls_made: 0,
            place: if opened {
                Place::Reasoning { begun: false }
            } else {
                Place::Text
            },
            fresh: true,
            reasoned: opened,
            held: String::new(),
            tried: 0,
            channels,
            single: false,
            streamed: None,
            texts: Vec::new(),
        }
    }

    /// The tools' schemas tell which arguments are text where the format does not.
    #[must_use]
    pub fn typed(mut self, tools: &[Tool]) -> Self {
        let texts = tools.iter().flat_map(|tool| {
            let properties = tool.parameters.get("properties");
            let properties = properties.and_then(serde_json::Value::as_object);
            let texts = properties.into_iter().flatten();
            let kinds = texts.map(|(name, schema)| (name, Kinds::of(schema, &tool.parameters)));
            let texts = kinds.filter(|(_, kinds)| kinds.has_text());
            texts.map(|(parameter, kinds)| (tool.name.clone(), parameter.clone(), kinds))
        });
        self.texts = texts.collect();
        self
    }

    fn with_texts(&self, mut call: Call) -> Call {
        for (_, parameter, kinds) in self.texts.iter().filter(|(name, ..)| *name == call.name) {
            if let Some(value) = call
                .arguments
                .get_mut(parameter)
                .filter(|value| !kinds.has(value))
            {
                let written = call.written.remove(parameter);
                *value = written.unwrap_or_else(|| value.to_string()).into();
            }
        }
        call
    }

    /// Whether only the first call of the answer counts.
    #[must_use]
    pub fn single(mut self, single: bool) -> Self {
        self.single = single;
        self.channels = self.channels.map(|channels| channels.single(single));
        self
    }

    /// Nothing of the answer counts any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let is_written = self
            .channels
            .as_ref()
            .map_or(self.streamed.is_none(), |channels| !channels.is_in_call());
        self.single && self.calls_made() > 0 && is_written
    }

    /// For a raw prompt: everything is text.
    #[must_use]
    pub fn plain() -> Self {
        Self::new(OutputFormat::default(), false, Vec::new(), 0)
    }

    /// How many tools the model called.
    #[must_use]
    pub fn calls_made(&self) -> u32 {
        self.channels
            .as_ref()
            .map_or(self.calls_made, Channels::calls_made)
    }

    #[must_use]
    pub fn push(&mut self, text: &str) -> Vec<Parsed> {
        let mut pieces = Vec::new();
        if let Some(channels) = &mut self.channels {
            channels.push(text, &mut self.identifiers, &mut pieces);
            return pieces;
        }
        self.held.push_str(text);
        while !self.held.is_empty() && self.step(&mut pieces) == Progress::Again {}
        pieces
    }

    /// What was held back, at the end of the answer.
    #[must_use]
    pub fn finish(&mut self) -> Vec<Parsed> {
        let mut pieces = Vec::new();
        if let Some(channels) = &mut self.channels {
            channels.finish(&mut pieces);
            return pieces;
        }
        while let Place::Calls { marked } = self.place {
            self.finish_calls(marked, &mut pieces);
        }
        let held = std::mem::take(&mut self.held);
        match self.place {
            Place::Text if self.after_something() && self.without_separators(&held).is_empty() => {}
            Place::Text => show(&mut pieces, Parsed::Text, &held),
            Place::Reasoning { begun: false } => {}
            Place::Reasoning { begun: true } => show(&mut pieces, Parsed::Reasoning, held.trim_end()),
            Place::Calls { .. } => {}
        }
        pieces
    }

    /// A call without its end is still a call if it is whole.
    fn finish_calls(&mut self, marked: bool, pieces: &mut Vec<Parsed>) {
        self.stream(self.held.len(), pieces);
        let whole = self.format.calls.as_ref().and_then(|format| {
            if format.close.is_some() {
                return read_closed(&format.body, &self.held);
            }
            match read(&format.body, &self.held) {
                Read::Whole(found, end) if self.held[end..].trim().is_empty() => Some(found),
                Read::Whole(..) | Read::Begun | Read::Broken => None,
            }
        });
        match whole.filter(|found| self.are_known(found)) {
            Some(found) => {
                self.held.clear();
                self.place = Place::Text;
                self.emit(found, pieces);
            }
            None => self.was_text(marked, pieces),
        }
        while !self.held.is_empty() && self.step(pieces) == Progress::Again {}
    }

    /// The arguments of the first call leave as they come, once it is known which function is
    /// called.
    fn stream(&mut self, end: usize, pieces: &mut Vec<Parsed>) {
        let Some(format) = &self.format.calls else { return };
        if self.streamed.is_none() {
            let head = head(&format.body, &self.held[..end]);
            let Some(head) = head.filter(|head| self.tools.contains(&head.name)) else {
                return;
            };
            pieces.push(Parsed::Call(ToolCallDelta {
                index: self.calls_made,
                id: Some(head.id.unwrap_or_else(|| self.identifiers.next())),
                name: Some(head.name),
                arguments: String::new(),
            }));
            self.calls_made += 1;
            self.streamed = Some(Streamed::new(head.arguments));
        }
        self.stream_arguments(end, pieces);
    }

    fn stream_arguments(&mut self, end: usize, pieces: &mut Vec<Parsed>) {
        let Some(streamed) = &mut self.streamed else {
            return;
        };
        let arguments = streamed.take(&self.held[..end]).to_owned();
        if !arguments.is_empty() {
            pieces.push(Parsed::Call(ToolCallDelta {
                index: self.calls_made.saturating_sub(1),
                id: None,
                name: None,
                arguments,
            }));
        }
    }

    /// No calls follow: the mark was text, and what comes behind it is looked at anew. A call that
    /// has been told of stays one, and what is left of it is not shown.
    fn was_text(&mut self, marked: bool, pieces: &mut Vec<Parsed>) {
        if self.streamed.is_some() {
            self.streamed = None;
            self.held.clear();
            self.place = Place::Text;
            self.fresh = true;
            self.tried = 0;
            return;
        }
        if marked {
            show(pieces, Parsed::Text, &self.open());
        }
        self.place = Place::Text;
        self.fresh = false;
        self.tried = 0;
    }

    fn open(&self) -> String {
        let open = self.format.calls.as_ref().map(|format| format.open.as_ref());
        open.unwrap_or_default().to_owned()
    }

    fn step(&mut self, pieces: &mut Vec<Parsed>) -> Progress {
        match self.place {
            Place::Text if self.fresh => self.beginning(),
            Place::Text => self.text(pieces),
            Place::Reasoning { begun } => self.reasoning(begun, pieces),
            Place::Calls { marked } => match self.close() {
                Some(close) => self.tagged(&close, pieces),
                None => self.untagged(marked, pieces),
            },
        }
    }

    /// Where reasoning and bare calls may begin.
    fn beginning(&mut self) -> Progress {
        let begun = self.without_separators(&self.held);
        if begun.is_empty() {
            return if self.may_wait_for_a_mark() {
                Progress::Wait
            } else {
                self.is_text()
            };
        }
        if let Some(tags) = self.format.reasoning.filter(|_| !self.reasoned) {
            if let Some(rest) = begun.strip_prefix(tags.open) {
                self.held = rest.to_owned();
                self.reasoned = true;
                self.place = Place::Reasoning { begun: false };
                return Progress::Again;
            }
            if tags.open.starts_with(begun) {
                return Progress::Wait;
            }
        }
        if self.is_bare() && begun.starts_with(self.bare_start()) {
            self.held = begun.to_owned();
            self.place = Place::Calls { marked: false };
            return Progress::Again;
        }
        self.is_text()
    }

    /// Without white space at the beginning, and between bare calls without their semicolons.
    fn without_separators<'text>(&self, text: &'text str) -> &'text str {
        let semicolons = self.is_bare() && self.calls_made > 0;
        text.trim_start_matches(|letter: char| letter.is_whitespace() || (semicolons && letter == ';'))
    }

    fn may_wait_for_a_mark(&self) -> bool {
        let reasoning = self.format.reasoning.is_some() && !self.reasoned;
        reasoning || self.after_something() || self.is_bare()
    }

    /// Whether calls may be the whole answer, without a mark.
    fn is_bare(&self) -> bool {
        self.format
            .calls
            .as_ref()
            .is_some_and(|format| match format.body {
                Body::Bare => true,
                Body::Pythonic => format.open.is_empty(),
                Body::Json | Body::Named { .. } | Body::Channels => false,
            })
    }

    fn bare_start(&self) -> char {
        let calls = self.format.calls.as_ref();
        if calls.is_some_and(|format| format.body == Body::Pythonic) {
            '['
        } else {
            '{'
        }
    }

    fn close(&self) -> Option<String> {
        let format = self.format.calls.as_ref()?;
        format.close.as_deref().map(str::to_owned)
    }

    /// White space behind the reasoning or a call belongs to neither and is not shown.
    fn after_something(&self) -> bool {
        self.calls_made > 0 || (self.reasoned && self.fresh)
    }

    fn is_text(&mut self) -> Progress {
        if self.after_something() {
            self.held = self.without_separators(&self.held).to_owned();
        }
        self.fresh = false;
        self.reasoned = true;
        Progress::Again
    }

    fn text(&mut self, pieces: &mut Vec<Parsed>) -> Progress {
        let open = self.open();
        if open.is_empty() {
            show(pieces, Parsed::Text, &std::mem::take(&mut self.held));
            return Progress::Wait;
        }
        if let Some(start) = self.held.find(&open) {
            show(pieces, Parsed::Text, &self.held[..start]);
            self.held = self.held[start + open.len()..].to_owned();
            self.place = Place::Calls { marked: true };
            return Progress::Again;
        }
        let rest = self.held.split_off(self.held.len() - overlap(&self.held, &open));
        show(pieces, Parsed::Text, &std::mem::replace(&mut self.held, rest));
        Progress::Wait
    }

    fn reasoning(&mut self, begun: bool, pieces: &mut Vec<Parsed>) -> Progress {
        let Some(tags) = self.format.reasoning else {
            return self.is_text();
        };
        if !begun {
            self.held = self.held.trim_start().to_owned();
            self.place = Place::Reasoning {
                begun: !self.held.is_empty(),
            };
            return if self.held.is_empty() {
                Progress::Wait
            } else {
                Progress::Again
            };
        }
        if let Some(end) = self.held.find(tags.close) {
            show(pieces, Parsed::Reasoning, self.held[..end].trim_end());
            self.held = self.held[end + tags.close.len()..].to_owned();
            self.place = Place::Text;
            return Progress::Again;
        }
        let body = &self.held[..self.held.len() - overlap(&self.held, tags.close)];
        let rest = self.held.split_off(body.trim_end().len());
        show(
            pieces,
            Parsed::Reasoning,
            &std::mem::replace(&mut self.held, rest),
        );
        Progress::Wait
    }

    /// Between the marks of a format that has both.
    fn tagged(&mut self, close: &str, pieces: &mut Vec<Parsed>) -> Progress {
        let found = self.held.find(close);
        self.stream(
            found.unwrap_or(self.held.len() - overlap(&self.held, close)),
            pieces,
        );
        let Some(end) = found else {
            return Progress::Wait;
        };
        let rest = self.held.split_off(end + close.len());
        let whole = std::mem::replace(&mut self.held, rest);
        self.place = Place::Text;
        let format = self.format.calls.as_ref();
        match format.and_then(|format| read_closed(&format.body, &whole[..end])) {
            Some(found) => self.emit(found, pieces),
            None if self.streamed.is_some() => self.emit(Vec::new(), pieces),
            None => show(pieces, Parsed::Text, &(self.open() + &whole)),
        }
        Progress::Again
    }

    /// Calls that end by themselves.
    fn untagged(&mut self, marked: bool, pieces: &mut Vec<Parsed>) -> Progress {
        // A long one is not read again for each token: only a bracket can complete it, and being
        // broken is found out soon enough.
        let closed = self.held[self.tried..].contains([']', '}']);
        self.stream(self.held.len(), pieces);
        if !closed && self.held.len() < 2 * self.tried {
            return Progress::Wait;
        }
        self.tried = self.held.len();
        let read = match &self.format.calls {
            Some(format) => read(&format.body, &self.held),
            None => Read::Broken,
        };
        let found = match read {
            Read::Begun => return Progress::Wait,
            Read::Whole(found, end) => self.are_known(&found).then_some((found, end)),
            Read::Broken => None,
        };
        match found {
            Some((found, end)) => {
                self.place = Place::Text;
                self.tried = 0;
                self.held = self.held[end..].to_owned();
                self.emit(found, pieces);
            }
            None => self.was_text(marked, pieces),
        }
        Progress::Again
    }

    /// A bare object is a call only if it names a function that the model may call.
    fn are_known(&self, found: &[Call]) -> bool {
        !self.is_bare() || found.iter().all(|call| self.tools.contains(&call.name))
    }

    fn emit(&mut self, found: Vec<Call>, pieces: &mut Vec<Parsed>) {
        let is_begun = self.streamed.take().is_some();
        let most = if self.single { 1 } else { usize::MAX };
        for call in found.into_iter().take(most).skip(usize::from(is_begun)) {
            let call = self.with_texts(call);
            let id = call.id.unwrap_or_else(|| self.identifiers.next());
            pieces.push(Parsed::Call(ToolCallDelta {
                index: self.calls_made,
                id: Some(id),
                name: Some(call.name),
                arguments: serde_json::Value::Object(call.arguments).to_string(),
            }));
            self.calls_made += 1;
        }
        self.fresh = true;
        self.reasoned = true;
    }
}

fn show(pieces: &mut Vec<Parsed>, kind: fn(String) -> Parsed, text: &str) {
    if !text.is_empty() {
        pieces.push(kind(text.to_owned()));
    }
}
