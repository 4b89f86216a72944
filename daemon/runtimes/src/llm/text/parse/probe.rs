//! How a template writes calls, found by letting it write some.
//!
//! Where nothing that is known is written in a template, its own turns with calls tell what stands
//! before the name, between name and arguments, and behind them.

use std::borrow::Cow;

use serde_json::Value;

use super::format::{Body, CallFormat, Frame};

/// The name that the probed turn calls.
pub(in crate::llm::text) const NAME: &str = "probed_name";
/// The one argument's name.
pub(in crate::llm::text) const KEY: &str = "probed_key";
/// The argument, and the text of the turn without calls.
pub(in crate::llm::text) const VALUE: &str = "probed_value";

/// What a template wrote.
pub(in crate::llm::text) struct Probes<'p> {
    /// A conversation whose last turn, the assistant's, is [`VALUE`].
    pub(in crate::llm::text) answered: &'p str,
    /// The same, where the last turn calls [`NAME`] with [`KEY`] as [`VALUE`].
    pub(in crate::llm::text) called: &'p str,
}

impl Probes<'_> {
    /// The format, if it is one that can be read.
    pub(in crate::llm::text) fn format(&self) -> Option<CallFormat> {
        let turn = &self.called[common(self.answered, self.called)..];
        let end = self.answered.rsplit_once(VALUE).map_or("", |(_, end)| end);
        let turn = turn.strip_suffix(end).unwrap_or(turn);
        let name = turn.find(NAME)?;
        let key = name + turn[name..].find(KEY)?;
        let arguments = turn[..key].rfind('{').filter(|&at| at > name)?;
        let mut values = serde_json::Deserializer::from_str(&turn[arguments..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        value.get(KEY).filter(|value| *value == VALUE)?;
        let length = values.byte_offset();
        let between = &turn[name + NAME.len()..arguments];
        let behind = &turn[arguments + length..];
        match turn[..name].find(['{', '[']).filter(|_| between.contains('"')) {
            Some(object) => in_object(&turn[..object], &turn[object..name], between, behind),
            None => Some(named(&turn[..name], between, behind)).filter(|format| format.close.is_some()),
        }
        .filter(|format| !format.open.is_empty() && !format.open.contains(['{', '}']))
    }
}

/// How much is the same in both.
pub(in crate::llm::text) fn common(left: &str, right: &str) -> usize {
    let equal = left
        .char_indices()
        .zip(right.chars())
        .take_while(|((_, left), right)| left == right);
    let end = equal.last().map_or(0, |((at, letter), _)| at + letter.len_utf8());
    // Two marks may begin alike.
    left[..end].trim_end_matches(['<', '|', '[', '｜']).len()
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

fn close(text: &str) -> Option<Cow<'static, str>> {
    let text = text.trim();
    (!text.is_empty()).then(|| owned(text))
}

/// `<mark>{"name": "..", "arguments": {..}}</mark>`, perhaps in a list.
fn in_object(open: &str, before: &str, between: &str, behind: &str) -> Option<CallFormat> {
    let (inner, is_list) = match before.strip_prefix('[') {
        Some(inner) => (inner, true),
        None => (before, false),
    };
    let at = behind.find('}')? + 1;
    let (after, rest) = behind.split_at(at);
    let rest = if is_list {
        rest.trim_start().strip_prefix(']')?
    } else {
        rest
    };
    Some(CallFormat {
        open: owned(open.trim()),
        close: close(rest),
        body: Body::Json,
        frame: Frame {
            first: owned(if is_list { "[" } else { "" }),
            before: owned(&format!(
                "{}{inner}",
                if is_list {
                    ""
                } else {
                    &open[open.trim_end().len()..]
                }
            )),
            between: owned(between),
            after: owned(&format!(
                "{after}{}",
                if is_list { "" } else { white_start(rest) }
            )),
            separator: is_list.then(|| owned(", ")),
            last: owned(if is_list { "]" } else { "" }),
        },
    })
}

/// `<mark>name<mark>{..}<mark>`.
fn named(open: &str, between: &str, behind: &str) -> CallFormat {
    let mark = open.trim();
    CallFormat {
        open: owned(mark),
        close: close(behind),
        body: Body::Named {
            split: owned(between.trim()),
        },
        frame: Frame {
            first: owned(""),
            before: owned(&open[open.trim_end().len()..]),
            between: owned(between),
            after: owned(white_start(behind)),
            separator: None,
            last: owned(""),
        },
    }
}

fn white_start(text: &str) -> &str {
    &text[..text.len() - text.trim_start().len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(turn: &str) -> Option<CallFormat> {
        let probes = Probes {
            answered: "<user>Hi<end><bot>probed_value<end>",
            called: &format!("<user>Hi<end>{turn}<end>"),
        };
        probes.format()
    }

    #[test]
    fn marks_and_frames_are_found() {
        let tagged =
            found("<bot><call>\n{\"name\": \"probed_name\", \"arguments\": {\"probed_key\": \"probed_value\"}}\n</call>")
                .unwrap();
        assert_eq!(
            (tagged.open.as_ref(), tagged.close.as_deref()),
            ("<call>", Some("</call>"))
        );
        assert_eq!(tagged.frame.before, "\n{\"name\": \"");
        assert_eq!(
            (tagged.frame.between.as_ref(), tagged.frame.after.as_ref()),
            ("\", \"arguments\": ", "}\n")
        );
        let list = found(
            "<bot>CALLS[{\"name\": \"probed_name\", \"arguments\": {\"probed_key\": \"probed_value\"}}]",
        )
        .unwrap();
        assert_eq!((list.frame.first.as_ref(), list.close), ("[", None));
        let named = found("<bot>@@probed_name##{\"probed_key\": \"probed_value\"}$$").unwrap();
        assert_eq!(named.body, Body::Named { split: "##".into() });
        assert_eq!((named.open.as_ref(), named.close.as_deref()), ("@@", Some("$$")));
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        assert_eq!(found("<bot>probed_name(probed_key=\"probed_value\")"), None);
        assert_eq!(found("<bot>nothing"), None);
        assert_eq!(found("<bot>{\"name\": \"probed_name\"}"), None);
    }
}
