//! Which formats a package uses, read from its chat template and vocabulary.

use std::borrow::Cow;

use airunner_core::chat::Message;

type Text = Cow<'static, str>;

/// How a model writes its tool calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm) struct CallFormat {
    /// What begins the calls; nothing where they are the whole answer.
    pub(in crate::llm) open: Text,
    /// What ends them; `None` where they end by themselves.
    pub(in crate::llm) close: Option<Text>,
    pub(in crate::llm) body: Body,
    pub(in crate::llm) frame: Frame,
}

/// What is between the marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm) enum Body {
    /// An object with name and arguments or a list of them; or tags inside of the marks.
    Json,
    /// The same as the whole answer, also without the mark.
    Bare,
    /// The name, this, and the arguments.
    Named { split: Text },
    /// A list of Python's calls; the whole answer where there is no mark.
    Pythonic,
    /// In a channel of its own.
    Channels,
}

/// What a call is written with, between the marks of its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm) struct Frame {
    /// Before the first call.
    pub(in crate::llm) first: Text,
    /// Before the name.
    pub(in crate::llm) before: Text,
    /// Between name and arguments.
    pub(in crate::llm) between: Text,
    /// Behind the arguments.
    pub(in crate::llm) after: Text,
    /// Between two calls, where they share their marks.
    pub(in crate::llm) separator: Option<Text>,
    /// Behind the last call.
    pub(in crate::llm) last: Text,
}

impl Frame {
    const fn single(before: &'static str, between: &'static str, after: &'static str) -> Self {
        Self {
            first: Text::Borrowed(""),
            before: Text::Borrowed(before),
            between: Text::Borrowed(between),
            after: Text::Borrowed(after),
            separator: None,
            last: Text::Borrowed(""),
        }
    }

    const fn list(before: &'static str, between: &'static str) -> Self {
        Self {
            first: Text::Borrowed("["),
            before: Text::Borrowed(before),
            between: Text::Borrowed(between),
            after: Text::Borrowed("}"),
            separator: Some(Text::Borrowed(", ")),
            last: Text::Borrowed("]"),
        }
    }

    /// For bodies that are written in another way.
    const NONE: Self = Self::single("", "", "");
}

impl CallFormat {
    const fn new(open: &'static str, close: Option<&'static str>, body: Body, frame: Frame) -> Self {
        Self {
            open: Text::Borrowed(open),
            close: match close {
                Some(close) => Some(Text::Borrowed(close)),
                None => None,
            },
            body,
            frame,
        }
    }

    /// Texts of the format that may be special tokens.
    fn marks(&self) -> impl Iterator<Item = &str> {
        let inner: &[&str] = match &self.body {
            Body::Named { .. } | Body::Bare | Body::Pythonic => &[],
            Body::Json => &["[ARGS]", "[CALL_ID]"],
            Body::Channels => &CHANNEL_MARKS,
        };
        let split = match &self.body {
            Body::Named { split } => Some(split.as_ref()),
            Body::Json | Body::Bare | Body::Pythonic | Body::Channels => None,
        };
        let own = [Some(self.open.as_ref()), self.close.as_deref(), split];
        own.into_iter()
            .flatten()
            .filter(|mark| !mark.is_empty())
            .chain(inner.iter().copied())
    }
}

/// The marks of models that write in channels.
pub(in crate::llm) const CHANNEL_MARKS: [&str; 5] = [
    "<|channel|>",
    "<|message|>",
    "<|start|>",
    "<|end|>",
    "<|constrain|>",
];

/// What encloses a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::llm) struct Tags {
    pub(in crate::llm) open: &'static str,
    pub(in crate::llm) close: &'static str,
}

const fn tags(open: &'static str, close: &'static str) -> Tags {
    Tags { open, close }
}

const REASONING: [Tags; 4] = [
    tags("<think>", "</think>"),
    tags("[THINK]", "[/THINK]"),
    tags("<seed:think>", "</seed:think>"),
    tags("<|START_THINKING|>", "<|END_THINKING|>"),
];

const ARGUMENTS: &str = "\", \"arguments\": ";
const PARAMETERS: &str = "\", \"parameters\": ";
const NAME: &str = "{\"name\": \"";

const TAGGED: CallFormat = CallFormat::new(
    "<tool_call>",
    Some("</tool_call>"),
    Body::Json,
    Frame::single("\n{\"name\": \"", ARGUMENTS, "}\n"),
);
const TAGS_INSIDE: CallFormat = CallFormat::new("<tool_call>", Some("</tool_call>"), Body::Json, Frame::NONE);
const LIST: CallFormat = CallFormat::new("[TOOL_CALLS]", None, Body::Json, Frame::list(NAME, ARGUMENTS));
const NAMED_LIST: CallFormat =
    CallFormat::new("[TOOL_CALLS]", None, Body::Json, Frame::single("", "[ARGS]", ""));
const BARE: CallFormat = CallFormat::new(
    "<|python_tag|>",
    None,
    Body::Bare,
    Frame::single(NAME, PARAMETERS, "}"),
);
const PHI: CallFormat = CallFormat::new(
    "<|tool_call|>",
    Some("<|/tool_call|>"),
    Body::Json,
    Frame::list(NAME, ARGUMENTS),
);
const GRANITE: CallFormat = CallFormat::new("<|tool_call|>", None, Body::Json, Frame::list(NAME, ARGUMENTS));
const FUNCTOOLS: CallFormat = CallFormat::new("functools", None, Body::Json, Frame::list(NAME, ARGUMENTS));
const COMMAND: CallFormat = CallFormat::new(
    "<|START_ACTION|>",
    Some("<|END_ACTION|>"),
    Body::Json,
    Frame::list("{\"tool_call_id\": \"0\", \"tool_name\": \"", PARAMETERS),
);
const fn deepseek(frame: Frame) -> CallFormat {
    let split = Text::Borrowed("<｜tool▁sep｜>");
    CallFormat::new(
        "<｜tool▁call▁begin｜>",
        Some("<｜tool▁call▁end｜>"),
        Body::Named { split },
        frame,
    )
}

const DEEPSEEK: CallFormat = deepseek(Frame::single("function<｜tool▁sep｜>", "\n```json\n", "\n```"));
const DEEPSEEK_SHORT: CallFormat = deepseek(Frame::single("", "<｜tool▁sep｜>", ""));
const KIMI: CallFormat = CallFormat::new(
    "<|tool_call_begin|>",
    Some("<|tool_call_end|>"),
    Body::Named {
        split: Text::Borrowed("<|tool_call_argument_begin|>"),
    },
    Frame::single("functions.", ":0<|tool_call_argument_begin|>", ""),
);
const NEMOTRON: CallFormat = CallFormat::new(
    "<TOOLCALL>",
    Some("</TOOLCALL>"),
    Body::Json,
    Frame::list(NAME, ARGUMENTS),
);
const LFM: CallFormat = CallFormat::new(
    "<|tool_call_start|>",
    Some("<|tool_call_end|>"),
    Body::Pythonic,
    Frame::NONE,
);
const OLMO: CallFormat = CallFormat::new(
    "<function_calls>",
    Some("</function_calls>"),
    Body::Pythonic,
    Frame::NONE,
);
const PYTHONIC: CallFormat = CallFormat::new("", None, Body::Pythonic, Frame::NONE);
const CHANNELS: CallFormat = CallFormat::new("", None, Body::Channels, Frame::NONE);

/// Texts of the template, all of which stand for a format; the first that fits counts.
const CALLS: [(&[&str], CallFormat); 19] = [
    (&["<|channel|>", "<|message|>"], CHANNELS),
    (&["<tool_call>", "<function="], TAGS_INSIDE),
    (&["<tool_call>"], TAGGED),
    (&["[TOOL_CALLS]", "[ARGS]"], NAMED_LIST),
    (&["[TOOL_CALLS]"], LIST),
    (&["<|tool_call_start|>"], LFM),
    (&["<function_calls>"], OLMO),
    (&["<TOOLCALL>"], NEMOTRON),
    (&["<|/tool_call|>"], PHI),
    (&["<|tool_call|>"], GRANITE),
    (&["functools["], FUNCTOOLS),
    (&["<|START_ACTION|>"], COMMAND),
    (&["<｜tool▁call▁begin｜>", "```json"], DEEPSEEK),
    (&["<｜tool▁call▁begin｜>"], DEEPSEEK_SHORT),
    (&["<|tool_call_begin|>"], KIMI),
    (&["<|python_start|>"], PYTHONIC),
    (&["[func_name1("], PYTHONIC),
    (&["<|python_tag|>"], BARE),
    (&["\"parameters\": dictionary"], BARE),
];

/// The formats of one package; none of them for a package without a chat template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputFormat {
    pub(in crate::llm) reasoning: Option<Tags>,
    pub(in crate::llm) calls: Option<CallFormat>,
}

impl OutputFormat {
    /// `template` is the chat template's source, with that for tools where there is one;
    /// `in_vocabulary` tells whether a text is a token of its own.
    #[must_use]
    pub fn detect(template: &str, in_vocabulary: impl Fn(&str) -> bool) -> Self {
        let written = |text: &str| template.contains(text);
        let reasoning = REASONING
            .into_iter()
            .find(|tags| written(tags.open) || written(tags.close) || in_vocabulary(tags.open));
        let fits = |signs: &[&str]| signs.iter().all(|sign| written(sign));
        let by_template = CALLS.into_iter().find(|(signs, _)| fits(signs));
        // A template that passes tools on without saying how they are called leaves the vocabulary.
        let by_vocabulary = || {
            CALLS
                .into_iter()
                .find(|(signs, _)| written("tools") && signs.len() == 1 && in_vocabulary(signs[0]))
        };
        let calls = by_template.or_else(by_vocabulary).map(|(_, format)| format);
        let has_channels = calls.as_ref().is_some_and(|calls| calls.body == Body::Channels);
        Self {
            reasoning: reasoning.filter(|_| !has_channels),
            calls,
        }
    }

    /// Whether the model writes in channels, with or without tools.
    #[must_use]
    pub fn has_channels(&self) -> bool {
        self.calls
            .as_ref()
            .is_some_and(|calls| calls.body == Body::Channels)
    }

    /// Texts that may be special tokens and that the parser must see.
    pub(in crate::llm::text) fn marks(&self, tools: bool) -> impl Iterator<Item = &str> {
        let reasoning = self
            .reasoning
            .into_iter()
            .flat_map(|tags| [tags.open, tags.close]);
        let calls = self.calls.iter().filter(move |_| tools || self.has_channels());
        reasoning.chain(calls.flat_map(CallFormat::marks))
    }

    /// Whether a rendered prompt ends inside the model's reasoning.
    #[must_use]
    pub fn is_opened_by(&self, prompt: &str) -> bool {
        self.reasoning
            .is_some_and(|tags| prompt.trim_end().ends_with(tags.open))
    }

    /// Whether a rendered prompt ends behind the model's reasoning.
    #[must_use]
    pub fn is_closed_by(&self, prompt: &str) -> bool {
        self.reasoning
            .is_some_and(|tags| prompt.trim_end().ends_with(tags.close))
    }

    /// Whether a beginning of the assistant's turn ends inside its reasoning.
    pub(in crate::llm::text) fn is_left_open_by(&self, begun: Option<&Message>) -> bool {
        begun.zip(self.reasoning).is_some_and(|(message, tags)| {
            let opened = message.content.rfind(tags.open);
            opened.is_some_and(|at| !message.content[at..].contains(tags.close))
        })
    }

    /// What a beginning of the assistant's turn holds besides its reasoning.
    pub(in crate::llm::text) fn answer_of<'m>(&self, begun: Option<&'m Message>) -> &'m str {
        let content = begun.map_or("", |message| message.content.as_str());
        let Some(tags) = self.reasoning else {
            return content;
        };
        match content.rsplit_once(tags.close) {
            Some((_, answer)) => answer.trim_start(),
            None if content.contains(tags.open) => "",
            None => content,
        }
    }
}
