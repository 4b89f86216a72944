//! Calls of tools as rules: names are those of the tools, arguments what their schemas allow.

use std::fmt::Write;

use airunner_core::chat::Tool;
use serde_json::{Map, Value};

use super::error::ConstraintError;
use super::grammar::{Grammar, Head};
use super::parameters::Parameters;
use crate::llm::text::{Body, CHANNEL_MARKS, CallFormat, EosSet, Frame, Tokenizer};

/// Marks around all calls of families whose format's own mark is that of one call.
const SECTIONS: [(&str, &str, &str); 2] = [
    (
        "<｜tool▁call▁begin｜>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
    ),
    (
        "<|tool_call_begin|>",
        "<|tool_calls_section_begin|>",
        "<|tool_calls_section_end|>",
    ),
];
/// What begins a call in a channel, whatever comes before.
pub(super) const CHANNEL_CALL: &str = "to=functions.";

/// Writes the rules of one request.
pub(super) struct Calls<'c> {
    pub(super) format: &'c CallFormat,
    pub(super) tools: &'c [Tool],
    /// Several calls in one answer.
    pub(super) parallel: bool,
    pub(super) tokenizer: &'c Tokenizer,
    pub(super) eos: &'c EosSet,
}

/// Rules, and the schemas they name.
#[derive(Default)]
struct Written {
    rules: String,
    schemas: Vec<(String, Value)>,
    parameters: Parameters,
}

/// The text behind which a call's rules begin; `None` where calls have no mark, and only the
/// beginning of the answer tells, by its [`heads`].
pub(super) fn trigger(format: &CallFormat) -> Option<&str> {
    match &format.body {
        Body::Channels => Some(CHANNEL_CALL),
        Body::Bare => None,
        Body::Json | Body::Named { .. } | Body::Pythonic => {
            Some(format.open.as_ref()).filter(|open| !open.is_empty())
        }
    }
}

/// How an answer begins that is a call of one of the tools, where calls need no mark: up to the
/// end of the name, so that all else may be text.
pub(super) fn heads(format: &CallFormat, tools: &[Tool]) -> Vec<Head> {
    let head = |tool: &Tool| match &format.body {
        Body::Pythonic => format!("[{}(", tool.name),
        Body::Json | Body::Bare | Body::Named { .. } | Body::Channels => {
            let Frame {
                first,
                before,
                between,
                ..
            } = &format.frame;
            // The quote behind the name.
            let quote = if between.starts_with('"') { "\"" } else { "" };
            format!("{first}{before}{}{quote}", tool.name)
        }
    };
    let open = Some(format.open.as_ref()).filter(|open| !open.is_empty());
    tools
        .iter()
        .flat_map(|tool| {
            let taken = head(tool);
            let marked = open.map(|open| format!("{open}{taken}"));
            marked
                .into_iter()
                .chain([taken.clone()])
                .map(move |written| Head {
                    written,
                    taken: taken.clone(),
                })
        })
        .collect()
}

impl Calls<'_> {
    /// What follows the trigger, or a call from its head on.
    pub(super) fn behind_trigger(&self) -> Result<Grammar, ConstraintError> {
        let mut written = Written::default();
        self.body(&mut written)?;
        Ok(written.grammar("start: body\n"))
    }

    /// An answer that is nothing but calls.
    pub(super) fn whole_answer(&self) -> Result<Grammar, ConstraintError> {
        let mut written = Written::default();
        self.body(&mut written)?;
        let start = self.start();
        Ok(written.grammar(&start))
    }

    /// Calls, or else what another schema allows.
    pub(super) fn or_else(&self, schema: &Value) -> Result<Grammar, ConstraintError> {
        let mut written = Written::default();
        self.body(&mut written)?;
        written.schemas.push(("answer".to_owned(), schema.clone()));
        let start = self.start().replacen("start:", "calls:", 1);
        Ok(written.grammar(&format!(
            "start: LEAD? answer | LEAD? calls\nanswer: @answer\nLEAD: /[\\n ]{{1,2}}/\n{start}"
        )))
    }

    fn start(&self) -> String {
        let open = &self.format.open;
        match &self.format.body {
            Body::Channels => {
                let analysis = self.literal("<|channel|>analysis<|message|>");
                let next = self.literal("<|end|><|start|>assistant");
                let begin = self.literal("<|channel|>commentary to=functions.");
                format!("start: ({analysis} THOUGHT {next})? {begin} body\nTHOUGHT: /(.|\\n)*/\n")
            }
            Body::Bare | Body::Pythonic if open.is_empty() || self.format.body == Body::Bare => {
                let more = if self.parallel && self.format.body == Body::Bare {
                    " (\"; \" body)*"
                } else {
                    ""
                };
                format!("start: body{more}\n")
            }
            Body::Json | Body::Named { .. } | Body::Pythonic | Body::Bare => {
                let mark = self.literal(open);
                let section = SECTIONS.iter().find(|(first, ..)| first == open);
                let (before, behind) = section
                    .filter(|(_, begin, _)| self.tokenizer.token_to_id(begin).is_some())
                    .map_or((String::new(), String::new()), |(_, begin, end)| {
                        (self.literal(begin), self.literal(end))
                    });
                let is_list = self.format.frame.separator.is_some() || self.format.body == Body::Pythonic;
                let more = if self.parallel && !is_list {
                    format!(" (\"\\n\"? {mark} body)*")
                } else {
                    String::new()
                };
                format!("start: {before} {mark} body{more} {behind}\n")
            }
        }
    }

    fn body(&self, written: &mut Written) -> Result<(), ConstraintError> {
        let names: Vec<String> = (0..self.tools.len())
            .map(|index| format!("call{index}"))
            .collect();
        let _ = writeln!(written.rules, "call: {}", names.join(" | "));
        for (index, tool) in self.tools.iter().enumerate() {
            let rule = self.call(index, tool, written)?;
            let _ = writeln!(written.rules, "call{index}: {rule}");
        }
        let close = self.literal(self.format.close.as_deref().unwrap_or_default());
        let frame = &self.format.frame;
        let (first, last, separator) = match &self.format.body {
            Body::Pythonic if self.format.open == "<function_calls>" => ("", "", Some("\n")),
            Body::Pythonic => ("[", "]", Some(", ")),
            Body::Json | Body::Bare | Body::Named { .. } | Body::Channels => (
                frame.first.as_ref(),
                frame.last.as_ref(),
                frame.separator.as_deref(),
            ),
        };
        let more = separator
            .filter(|_| self.parallel)
            .map_or(String::new(), |separator| {
                format!("({} call)*", self.literal(separator))
            });
        let (first, last) = (self.literal(first), self.literal(last));
        let _ = writeln!(written.rules, "body: {first} call {more} {last} {close}");
        Ok(())
    }

    fn call(&self, index: usize, tool: &Tool, written: &mut Written) -> Result<String, ConstraintError> {
        let frame = &self.format.frame;
        let name = &tool.name;
        Ok(match &self.format.body {
            Body::Channels => {
                let arguments = written.schema(format!("a{index}"), object(&tool.parameters));
                let headers = [
                    " <|constrain|>json<|message|>",
                    "<|channel|>commentary json<|message|>",
                    "<|channel|>commentary <|constrain|>json<|message|>",
                ];
                let headers = headers.map(|header| self.literal(header)).join(" | ");
                format!("{} ({headers}) {arguments}", self.literal(name))
            }
            Body::Pythonic => {
                let arguments = self.python_arguments(index, tool, written)?;
                format!(
                    "{} {arguments} {}",
                    self.literal(&format!("{name}(")),
                    self.literal(")")
                )
            }
            Body::Json if frame.between.is_empty() => self.tags(index, tool, written)?,
            Body::Json | Body::Bare | Body::Named { .. } => {
                let arguments = written.schema(format!("a{index}"), object(&tool.parameters));
                let head = format!("{}{name}{}", frame.before, frame.between);
                format!(
                    "{} {arguments} {}",
                    self.literal(&head),
                    self.literal(&frame.after)
                )
            }
        })
    }

    /// `<function=name>` with a tag for each parameter, text without quotes.
    fn tags(&self, index: usize, tool: &Tool, written: &mut Written) -> Result<String, ConstraintError> {
        let mut rule = self.literal(&format!("\n<function={}>\n", tool.name));
        let parameters = written.parameters.of(&tool.parameters)?;
        for (place, parameter) in parameters.into_iter().enumerate() {
            let open = self.literal(&format!("<parameter={}>\n", parameter.name));
            let value = format!("v{index}x{place}");
            let part = if let Some(choices) = parameter.choices.filter(|_| parameter.is_text) {
                let close = "\n</parameter>\n";
                let choices = choices
                    .iter()
                    .map(|choice| self.literal(&format!("{choice}{close}")));
                format!("{open} ({})", choices.collect::<Vec<_>>().join(" | "))
            } else if parameter.is_text {
                let _ = writeln!(
                    written.rules,
                    "{value}[suffix=\"\\n</parameter>\\n\"]: /(.|\\n)*/"
                );
                format!("{open} {value}")
            } else {
                let schema = written.schema(value, parameter.schema);
                format!("{open} {schema} {}", self.literal("\n</parameter>\n"))
            };
            if parameter.is_required {
                let _ = write!(rule, " {part}");
            } else {
                let _ = write!(rule, " ({part})?");
            }
        }
        let _ = write!(rule, " {}", self.literal("</function>\n"));
        Ok(rule)
    }

    /// `a=1, b="x"`: what is required first.
    fn python_arguments(
        &self,
        index: usize,
        tool: &Tool,
        written: &mut Written,
    ) -> Result<String, ConstraintError> {
        let mut all = written.parameters.of(&tool.parameters)?;
        all.sort_by_key(|parameter| !parameter.is_required);
        let (mut required, mut optional) = (Vec::new(), Vec::new());
        for (place, parameter) in all.into_iter().enumerate() {
            let key = self.literal(&format!("{}=", parameter.name));
            let value = written.schema(format!("v{index}x{place}"), parameter.schema);
            let list = if parameter.is_required {
                &mut required
            } else {
                &mut optional
            };
            list.push(format!("{key} {value}"));
        }
        if required.is_empty() {
            return Ok(written.any_of_them(index, &optional));
        }
        let mut rule = required.join(" \", \" ");
        for part in optional {
            let _ = write!(rule, " (\", \" {part})?");
        }
        Ok(rule)
    }

    /// A text as a rule's item: special tokens by their numbers, all else in quotes.
    fn literal(&self, text: &str) -> String {
        let marks = [
            Some(self.format.open.as_ref()),
            self.format.close.as_deref(),
            match &self.format.body {
                Body::Named { split } => Some(split.as_ref()),
                Body::Json | Body::Bare | Body::Pythonic | Body::Channels => None,
            },
        ];
        let sections = SECTIONS.iter().flat_map(|(_, begin, end)| [*begin, *end]);
        let known = marks
            .into_iter()
            .flatten()
            .chain(CHANNEL_MARKS)
            .chain(["[ARGS]"])
            .chain(sections);
        let special: Vec<(&str, u32)> = known
            .filter(|mark| !mark.is_empty())
            .filter_map(|mark| Some((mark, self.tokenizer.token_to_id(mark)?)))
            .filter(|&(_, token)| self.tokenizer.is_special(token) || self.eos.contains(token))
            .collect();
        let mut items = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let next = special
                .iter()
                .filter_map(|&(mark, token)| Some((rest.find(mark)?, mark, token)))
                .min();
            let end = next.map_or(rest.len(), |(at, ..)| at);
            if end > 0 {
                items.push(Value::from(&rest[..end]).to_string());
            }
            let Some((at, mark, token)) = next else { break };
            items.push(format!("<[{token}]>"));
            rest = &rest[at + mark.len()..];
        }
        items.join(" ")
    }
}

impl Written {
    /// The name of a schema in the rules.
    fn schema(&mut self, name: String, schema: Value) -> String {
        let item = format!("@{name}");
        self.schemas.push((name, schema));
        item
    }

    /// Any of these in their order with commas between, as rules that each name the next one: those
    /// with a comma before them, and those of which one is the first.
    fn any_of_them(&mut self, index: usize, parts: &[String]) -> String {
        let Some(last) = parts.len().checked_sub(1) else {
            return String::new();
        };
        for (place, part) in parts.iter().enumerate() {
            let (first, more) = (format!("f{index}x{place}"), format!("m{index}x{place}"));
            let next = place + 1;
            let _ = if place == last {
                writeln!(self.rules, "{first}: {part}\n{more}: (\", \" {part})?")
            } else {
                writeln!(
                    self.rules,
                    "{first}: {part} m{index}x{next} | f{index}x{next}\n{more}: (\", \" {part})? m{index}x{next}"
                )
            };
        }
        format!("f{index}x0?")
    }

    fn grammar(self, start: &str) -> Grammar {
        Grammar::Rules {
            rules: format!("{start}{}", self.rules),
            schemas: self.schemas,
        }
    }
}

/// Arguments are an object, whatever the tool forgot to say.
fn object(schema: &Value) -> Value {
    let mut schema: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
    schema.entry("type").or_insert_with(|| "object".into());
    Value::Object(schema)
}
