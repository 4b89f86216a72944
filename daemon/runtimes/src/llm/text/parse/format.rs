//! Which formats a package uses, read from its chat template and vocabulary.

use airunner_core::chat::Message;

/// How a model writes its tool calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFormat {
    /// `<tool_call>{"name": .., "arguments": {..}}</tool_call>`, one each.
    Tagged,
    /// `[TOOL_CALLS][{"name": .., "arguments": {..}}, ..]`.
    List,
    /// The whole answer is `{"name": .., "parameters": {..}}`, perhaps after `<|python_tag|>`.
    Bare,
}

impl CallFormat {
    /// What begins the calls. A bare call begins with its brace; its mark may come before that.
    pub(super) const fn open(self) -> &'static str {
        match self {
            Self::Tagged => "<tool_call>",
            Self::List => "[TOOL_CALLS]",
            Self::Bare => "<|python_tag|>",
        }
    }
}

/// What encloses a model's reasoning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::llm::text) struct Tags {
    pub(in crate::llm::text) open: &'static str,
    pub(in crate::llm::text) close: &'static str,
}

const REASONING: [Tags; 2] = [
    Tags {
        open: "<think>",
        close: "</think>",
    },
    Tags {
        open: "[THINK]",
        close: "[/THINK]",
    },
];

/// A text of the template, and what calls look like where it is found; the first that fits counts.
const CALLS: [(&str, CallFormat); 4] = [
    ("<tool_call>", CallFormat::Tagged),
    ("[TOOL_CALLS]", CallFormat::List),
    ("<|python_tag|>", CallFormat::Bare),
    ("\"parameters\": dictionary", CallFormat::Bare),
];

/// The formats of one package; none of them for a package without a chat template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputFormat {
    pub(in crate::llm::text) reasoning: Option<Tags>,
    pub(super) calls: Option<CallFormat>,
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
        let by_template = CALLS.into_iter().find(|(sign, _)| written(sign));
        // A template that passes tools on without saying how they are called leaves the vocabulary.
        let by_vocabulary = || {
            CALLS
                .into_iter()
                .find(|(sign, _)| written("tools") && in_vocabulary(sign))
        };
        let calls = by_template.or_else(by_vocabulary).map(|(_, format)| format);
        Self { reasoning, calls }
    }

    /// Texts that may be special tokens and that the parser must see.
    pub(in crate::llm::text) fn marks(&self, tools: bool) -> impl Iterator<Item = &'static str> {
        let reasoning = self
            .reasoning
            .into_iter()
            .flat_map(|tags| [tags.open, tags.close]);
        let calls = self
            .calls
            .filter(|_| tools)
            .into_iter()
            .flat_map(|format| match format {
                CallFormat::Tagged => ["<tool_call>", "</tool_call>"].as_slice(),
                CallFormat::List => &["[TOOL_CALLS]"],
                CallFormat::Bare => &["<|python_tag|>"],
            });
        reasoning.chain(calls.copied())
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
