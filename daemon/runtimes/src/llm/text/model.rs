//! The text side of one loaded package.

use std::path::Path;
use std::sync::Arc;

use airunner_core::chat::{Conversation, Message, Tool};
use airunner_core::generate::{GenerateRequest, Input, OutputFormat as Format};
use airunner_core::{ErrorKind, Fault};
use jiff::Zoned;

use super::abilities::Abilities;
use super::config::TokenizerConfig;
use super::continuation::{beginning, cut, not_told_by, with_opening};
use super::eos::EosSet;
use super::output::Output;
use super::parse::{CallFormat, OutputFormat, OutputParser};
use super::probing;
use super::stop::StopMatcher;
use super::stream::TextStream;
use super::template::{ChatTemplate, TemplateError};
use super::tokenizer::{Tokenizer, TokenizerError};

/// Tokenizer, chat templates and formats of a package.
#[derive(Debug)]
pub struct TextModel {
    tokenizer: Tokenizer,
    config: TokenizerConfig,
    template: Option<Result<ChatTemplate, Fault>>,
    tool_template: Option<Result<ChatTemplate, Fault>>,
    eos: Arc<EosSet>,
    format: OutputFormat,
}

/// A prompt as the model reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    pub tokens: Vec<u32>,
    /// `None` for a raw prompt.
    conversation: Option<Turn>,
}

/// Whether a model thinks before its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thinking {
    /// It does not, or it is done.
    None,
    /// If it wants to.
    Possible { open: &'static str, close: &'static str },
    /// The prompt ends in its reasoning.
    Inside { close: &'static str },
    /// It writes in channels, of which the last is the answer.
    Channels,
}

impl Prompt {
    /// What the prompt holds of the answer already.
    #[must_use]
    pub fn beginning(&self) -> &str {
        self.conversation.as_ref().map_or("", |turn| &turn.beginning)
    }
}

/// What the answer to a conversation depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Turn {
    /// The prompt ends inside the model's reasoning.
    opened: bool,
    /// The prompt ends behind it.
    closed: bool,
    /// What the prompt holds of the answer.
    beginning: String,
    /// Names of the functions the model may call.
    tools: Vec<String>,
}

impl TextModel {
    /// `declared_eos` are the end-of-sequence ids of `config.json`, `generation_config.json` and
    /// `genai_config.json`. A package without a usable chat template answers raw prompts only.
    pub fn load(directory: &Path, declared_eos: &[u32]) -> Result<Self, Fault> {
        let config = TokenizerConfig::load(directory)?;
        let tokenizer = Tokenizer::load(directory)?;
        let compile = |source: &Option<String>| {
            let compiled =
                |source| ChatTemplate::compile(source, &config.special_tokens).map_err(Fault::from);
            source.as_deref().map(compiled)
        };
        let (template, tool_template) = (compile(&config.template), compile(&config.tool_template));
        let sources = [&config.template, &config.tool_template].into_iter().flatten();
        let source = sources.map(String::as_str).collect::<Vec<_>>().join("\n");
        let eos_token = config.special_tokens.get("eos_token");
        let mut format = OutputFormat::detect(&source, |text| tokenizer.token_to_id(text).is_some());
        if format.calls.is_none() && Abilities::of(&source).tools {
            let writer = tool_template.as_ref().or(template.as_ref());
            format.calls = writer.and_then(|template| probing::format(template.as_ref().ok()?));
        }
        Ok(Self {
            eos: Arc::new(EosSet::new(declared_eos, eos_token, Some(&source), &tokenizer)),
            format,
            tokenizer,
            config,
            template,
            tool_template,
        })
    }

    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    #[must_use]
    pub fn eos(&self) -> &EosSet {
        &self.eos
    }

    /// The same, to keep.
    pub(in crate::llm) fn shared_eos(&self) -> Arc<EosSet> {
        Arc::clone(&self.eos)
    }

    /// How the model writes its calls.
    pub(in crate::llm) fn call_format(&self) -> Option<&CallFormat> {
        self.format.calls.as_ref()
    }

    /// Whether the package can answer conversations.
    #[must_use]
    pub fn has_chat_template(&self) -> bool {
        matches!(self.template, Some(Ok(_)))
    }

    /// The tokens of a request's input, or why they do not leave room for an answer in a context
    /// of `context_length`. May take seconds for a long text.
    pub fn prompt(&self, input: &Input, context_length: usize) -> Result<Prompt, Fault> {
        let most = context_length.saturating_sub(1);
        let prompt = match input {
            Input::Raw(text) => {
                let tokens = self.tokenizer.encode_bounded(text, true, most);
                let tokens = self.with_bos(tokens.map_err(|error| too_long(error, context_length))?);
                Prompt {
                    tokens,
                    conversation: None,
                }
            }
            Input::Tokens(tokens) => Prompt {
                tokens: self.known(tokens, most)?,
                conversation: None,
            },
            Input::Conversation(conversation) => {
                let rendered = self.render_behind_earlier(conversation)?;
                let tokens = self.tokenizer.encode_bounded(&rendered, false, most);
                let tokens = tokens.map_err(|error| too_long(error, context_length))?;
                let tokens = self.known(&self.behind_earlier(conversation, tokens), most)?;
                let begun = beginning(conversation)?;
                let turn = Turn {
                    opened: self.format.is_opened_by(&rendered) || self.format.is_left_open_by(begun),
                    closed: self.format.is_closed_by(&rendered),
                    beginning: self.format.answer_of(begun).to_owned(),
                    tools: conversation.tools.iter().map(|tool| tool.name.clone()).collect(),
                };
                Prompt {
                    tokens,
                    conversation: Some(turn),
                }
            }
        };
        if prompt.tokens.is_empty() {
            return Err(Fault::invalid(
                "the prompt is empty for this model's tokenizer: send some text",
            ));
        }
        Ok(prompt)
    }

    /// Ids that somebody else made, if the vocabulary has them and the context holds them.
    fn known(&self, tokens: &[u32], most: usize) -> Result<Vec<u32>, Fault> {
        if tokens.len() > most {
            let error = TokenizerError::TooMany {
                tokens: tokens.len(),
                limit: most,
            };
            return Err(too_long(error, most.saturating_add(1)));
        }
        let size = self.tokenizer.vocabulary_size();
        match tokens.iter().find(|&&token| token as usize >= size) {
            Some(token) => Err(Fault::invalid(format!(
                "the prompt holds the token {token}, and the vocabulary of this model has {size}"
            ))),
            None => Ok(tokens.to_vec()),
        }
    }

    /// Ids of a text, for those who want to count; nothing is too long here but for the time it takes.
    pub fn tokenize(&self, text: &str, add_special_tokens: bool) -> Result<Vec<u32>, Fault> {
        let tokens = self.tokenizer.encode(text, add_special_tokens)?;
        Ok(if add_special_tokens {
            self.with_bos(tokens)
        } else {
            tokens
        })
    }

    /// Ids of a conversation, ready for the assistant's answer, for those who want to count.
    pub fn tokenize_conversation(&self, conversation: &Conversation) -> Result<Vec<u32>, Fault> {
        let rendered = self.render_behind_earlier(conversation)?;
        let tokens = self.tokenizer.encode(&rendered, false)?;
        Ok(self.behind_earlier(conversation, tokens))
    }

    /// The tokens of an earlier exchange, if there was one, and these.
    fn behind_earlier(&self, conversation: &Conversation, tokens: Vec<u32>) -> Vec<u32> {
        let mut all = conversation.earlier.clone();
        let is_first = all.is_empty();
        let begin = self.bos().filter(|_| !is_first);
        all.extend(tokens.into_iter().skip_while(|token| Some(*token) == begin));
        self.drop_second_bos(&mut all);
        all
    }

    /// What the conversation is behind an earlier exchange, or on its own if there was none.
    fn render_behind_earlier(&self, conversation: &Conversation) -> Result<String, Fault> {
        let now = Zoned::now();
        if conversation.earlier.is_empty() {
            return self.render(conversation, &now);
        }
        let earlier = self.known(&conversation.earlier, usize::MAX)?;
        let told = self.tokenizer.decode(&earlier, false)?;
        let conversation = not_told_by(&told, conversation);
        let is_new = |message: &Message| matches!(message.role.as_str(), "system" | "developer");
        if !conversation.messages.iter().any(is_new) {
            let (whole, opening) = with_opening(&conversation);
            let behind = self.render(&opening, &now).and_then(|opening| {
                let whole = self.render(&whole, &now)?;
                Ok(whole.strip_prefix(&opening).map(str::to_owned))
            });
            // A template that writes earlier turns in another way than the last one, or refuses
            // them, leaves what it writes on its own.
            if let Ok(Some(behind)) = behind {
                return Ok(behind);
            }
        }
        self.render(&conversation, &now)
    }

    /// The conversation as the chat template writes it, ready for the assistant's answer.
    pub fn render(&self, conversation: &Conversation, now: &Zoned) -> Result<String, Fault> {
        let with_tools = self
            .tool_template
            .as_ref()
            .filter(|_| !conversation.tools.is_empty());
        let template = match with_tools.or(self.template.as_ref()) {
            None => return Err(TemplateError::Missing.into()),
            Some(Err(fault)) => return Err(fault.clone()),
            Some(Ok(template)) => template,
        };
        let Some(begun) = beginning(conversation)? else {
            let mut messages = conversation.messages.as_slice();
            if conversation.continues {
                messages = &messages[..messages.len() - 1];
            }
            if messages.len() == conversation.messages.len() {
                return Ok(template.render(conversation, true, now)?);
            }
            let shorter = Conversation {
                messages: messages.to_vec(),
                ..conversation.clone()
            };
            return Ok(template.render(&shorter, true, now)?);
        };
        let rendered = template.render(conversation, false, now)?;
        let cut = cut(&rendered, &begun.content).map(str::to_owned);
        cut.ok_or_else(|| {
            Fault::invalid(
                "this model's chat template changes the assistant's last message: it cannot be continued",
            )
        })
    }

    /// Whether the model thinks before its answer to the prompt.
    #[must_use]
    pub fn thinking(&self, prompt: &Prompt) -> Thinking {
        let Some(turn) = &prompt.conversation else {
            return Thinking::None;
        };
        if self.format.has_channels() {
            return Thinking::Channels;
        }
        let has_answer = turn.closed || !turn.beginning.is_empty();
        match self.format.reasoning {
            Some(tags) if turn.opened => Thinking::Inside { close: tags.close },
            Some(tags) if !has_answer => Thinking::Possible {
                open: tags.open,
                close: tags.close,
            },
            Some(_) | None => Thinking::None,
        }
    }

    /// What takes the answer's tokens. `seed` makes the ids of tool calls: it must differ from
    /// request to request.
    #[must_use]
    pub fn output(&self, request: &GenerateRequest, prompt: &Prompt, seed: u64) -> Output {
        let (stream, parser) = match &prompt.conversation {
            None => (TextStream::continuing(), OutputParser::plain()),
            Some(turn) => {
                let marks = self.format.marks(!turn.tools.is_empty());
                let shown = marks
                    .filter_map(|mark| self.tokenizer.token_to_id(mark))
                    .collect();
                let parser = OutputParser::new(self.format.clone(), turn.opened, turn.tools.clone(), seed)
                    .single(!request.parallel_tool_calls)
                    .typed(tools_of(&request.input));
                let goes_on = !turn.beginning.is_empty() || request.format != Format::Text;
                let stream = if goes_on {
                    TextStream::continuing()
                } else {
                    TextStream::alone(&self.tokenizer)
                };
                (stream.showing(shown), parser)
            }
        };
        let stops = StopMatcher::new(&request.stop);
        Output::new(
            self.tokenizer.clone(),
            Arc::clone(&self.eos),
            stream,
            stops,
            parser,
        )
    }

    fn bos(&self) -> Option<u32> {
        self.tokenizer
            .token_to_id(self.config.special_tokens.get("bos_token")?)
    }

    /// Raw text begins with one begin-of-sequence token if the package wants one.
    fn with_bos(&self, mut tokens: Vec<u32>) -> Vec<u32> {
        self.drop_second_bos(&mut tokens);
        if let (Some(true), Some(bos)) = (self.config.add_bos_token, self.bos())
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        tokens
    }

    /// Template and tokenizer, or template and message, may both have written one.
    fn drop_second_bos(&self, tokens: &mut Vec<u32>) {
        let Some(bos) = self.bos() else { return };
        while tokens.starts_with(&[bos, bos]) {
            tokens.remove(0);
        }
    }
}

fn tools_of(input: &Input) -> &[Tool] {
    match input {
        Input::Conversation(conversation) => &conversation.tools,
        Input::Raw(_) | Input::Tokens(_) => &[],
    }
}

fn too_long(error: TokenizerError, context_length: usize) -> Fault {
    let Some((tokens, exactly)) = error.too_many() else {
        return error.into();
    };
    let about = if exactly { "" } else { "at least " };
    Fault::new(
        ErrorKind::ContextLengthExceeded,
        format!(
            "the prompt has {about}{tokens} tokens and this model's context holds {context_length}, of which \
             the answer needs at least one: shorten the prompt, or load a model with a longer context"
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CHATML: &str = "{% for m in messages %}<s>[{{ m.role }}]{{ m.content }}{% endfor %}";

    /// A package whose tokens are words; `<s>` is its begin-of-sequence token.
    fn package(config: &serde_json::Value) -> TextModel {
        package_of(&["<s>", "a", "[user]a"], config)
    }

    /// The same with these words, the first of which is `<s>`.
    fn package_of(words: &[&str], config: &serde_json::Value) -> TextModel {
        let directory = tempfile::tempdir().unwrap();
        let mut vocabulary = serde_json::Map::from_iter([("?".to_owned(), json!(0))]);
        vocabulary.extend((1..).zip(words).map(|(id, word)| ((*word).to_owned(), json!(id))));
        let tokenizer = json!({
            "version": "1.0", "normalizer": null, "post_processor": null, "decoder": null,
            "pre_tokenizer": {"type": "WhitespaceSplit"},
            "added_tokens": [{"id": 1, "content": "<s>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "?"},
        });
        std::fs::write(directory.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
        std::fs::write(directory.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        TextModel::load(directory.path(), &[7]).unwrap()
    }

    fn chat() -> Input {
        Input::Conversation(Conversation {
            messages: vec![Message::new("user", "a")],
            ..Conversation::default()
        })
    }

    fn raw(text: &str) -> Input {
        Input::Raw(text.to_owned())
    }

    #[test]
    fn a_prompt_begins_with_one_begin_token() {
        let model = package(&json!({"bos_token": "<s>", "add_bos_token": true, "chat_template": CHATML}));
        for (text, tokens) in [
            ("a a", vec![1, 2, 2]),
            ("<s> a", vec![1, 2]),
            ("<s><s><s> a", vec![1, 2]),
        ] {
            assert_eq!(model.prompt(&raw(text), 100).unwrap().tokens, tokens, "{text}");
            assert_eq!(model.tokenize(text, true).unwrap(), tokens, "{text}");
        }
        assert_eq!(model.tokenize("a", false).unwrap(), [2]);
        assert_eq!(model.prompt(&chat(), 100).unwrap().tokens, [1, 3]);
        let twice = format!("<s>{CHATML}");
        let doubled = package(&json!({"bos_token": "<s>", "chat_template": twice}));
        assert_eq!(
            doubled.prompt(&chat(), 100).unwrap().tokens,
            [1, 3],
            "the template writes two"
        );
        assert_eq!(
            doubled.prompt(&raw("a"), 100).unwrap().tokens,
            [2],
            "not asked for"
        );
        assert_eq!(model.eos().as_slice(), [7]);
    }

    #[test]
    fn what_follows_an_exchange_has_neither_its_beginning_nor_its_system_prompt_again() {
        let template = "{{ bos_token }}{% if messages[0].role != 'system' %} [S]default{% endif %}\
                        {% for m in messages %} [{{ m.role }}] {{ m.content }}{% endfor %}\
                        {% if add_generation_prompt %} [assistant]{% endif %}";
        let words = [
            "<s>",
            "[S]default",
            "[system]",
            "[user]",
            "[assistant]",
            "brief",
            "a",
            "b",
            "c",
        ];
        let model = package_of(&words, &json!({"bos_token": "<s>", "chat_template": template}));
        let spelled = |conversation: &Conversation| {
            let tokens = model.tokenize_conversation(conversation).unwrap();
            let prompt = model.prompt(&Input::Conversation(conversation.clone()), 100);
            assert_eq!(prompt.unwrap().tokens, tokens);
            let word = |token: u32| words[token as usize - 1];
            let spelled: Vec<&str> = tokens.into_iter().map(word).collect();
            spelled.join(" ")
        };
        let said = |roles: &[(&str, &str)]| Conversation {
            messages: roles
                .iter()
                .map(|(role, content)| Message::new(*role, *content))
                .collect(),
            ..Conversation::default()
        };
        let mut first = said(&[("user", "a"), ("assistant", "b")]);
        first.continues = true;
        let begun = spelled(&first);
        assert_eq!(begun, "<s> [S]default [user] a [assistant] b");
        let mut next = said(&[("user", "c")]);
        next.earlier = model.tokenize_conversation(&first).unwrap();
        assert_eq!(spelled(&next), format!("{begun} [user] c [assistant]"));

        let mut first = said(&[("system", "brief"), ("user", "a"), ("assistant", "b")]);
        first.continues = true;
        let begun = spelled(&first);
        let mut next = said(&[("system", "brief"), ("user", "c")]);
        next.earlier = model.tokenize_conversation(&first).unwrap();
        assert_eq!(spelled(&next), format!("{begun} [user] c [assistant]"));
        next.messages[0].content = "c".to_owned();
        assert_eq!(
            spelled(&next),
            format!("{begun} [system] c [user] c [assistant]"),
            "another one is told"
        );
        next.earlier = vec![99];
        assert!(model.prompt(&Input::Conversation(next), 100).is_err());
    }

    #[test]
    fn a_prompt_that_does_not_fit_is_refused_with_both_numbers() {
        let model = package(&json!({}));
        assert_eq!(model.prompt(&raw("a a a"), 4).unwrap().tokens.len(), 3);
        let fault = model.prompt(&raw("a a a a"), 4).unwrap_err();
        assert_eq!(fault.kind, ErrorKind::ContextLengthExceeded);
        assert!(
            fault.message.contains("has 4 tokens") && fault.message.contains("holds 4"),
            "{fault}"
        );
        let fault = model.prompt(&raw(&"a ".repeat(5 << 20)), 4096).unwrap_err();
        assert!(
            fault.message.contains("at least") && fault.message.contains("4096"),
            "{fault}"
        );
        assert_eq!(
            model.prompt(&raw("  "), 4).unwrap_err().kind,
            ErrorKind::InvalidArgument
        );
    }

    #[test]
    fn without_a_usable_template_conversations_are_refused_and_raw_prompts_work() {
        for config in [json!({}), json!({"chat_template": "{% nonsense %}"})] {
            let model = package(&config);
            assert!(!model.has_chat_template());
            let fault = model.prompt(&chat(), 100).unwrap_err();
            assert_eq!(fault.kind, ErrorKind::TemplateFailed);
            assert!(fault.message.contains("--raw"), "{fault}");
            assert!(model.prompt(&raw("a"), 100).is_ok());
        }
    }

    #[test]
    fn the_template_for_tools_serves_only_conversations_with_tools() {
        let model = package(&json!({"chat_template": [
            {"name": "default", "template": "plain"}, {"name": "tool_use", "template": "tools"}]}));
        let mut conversation = Conversation {
            messages: vec![Message::new("user", "a")],
            ..Conversation::default()
        };
        assert_eq!(model.render(&conversation, &Zoned::default()).unwrap(), "plain");
        conversation.tools.push(airunner_core::chat::Tool {
            name: "f".to_owned(),
            description: String::new(),
            parameters: json!({}),
        });
        assert_eq!(model.render(&conversation, &Zoned::default()).unwrap(), "tools");
    }
}
