//! The arguments of a call while it is being written.

use super::format::Body;

/// A call that has begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) name: String,
    /// Only some formats have one.
    pub(super) id: Option<String>,
    /// Where the arguments' object begins.
    pub(super) arguments: usize,
}

/// The call that a text begins with, once its arguments have begun too; the name must come first.
pub(super) fn head(body: &Body, text: &str) -> Option<Head> {
    match body {
        Body::Json | Body::Bare => in_object(text).or_else(|| split(text, "[ARGS]")),
        Body::Named { split: mark } => split(text, mark),
        Body::Pythonic | Body::Channels => None,
    }
}

fn in_object(text: &str) -> Option<Head> {
    let list = text.trim_start();
    let object = list.strip_prefix('[').unwrap_or(list).trim_start();
    let (key, rest) = text_in_quotes(object.strip_prefix('{')?)?;
    if key != "name" {
        return None;
    }
    let (name, rest) = text_in_quotes(rest.trim_start().strip_prefix(':')?)?;
    let (key, rest) = text_in_quotes(rest.trim_start().strip_prefix(',')?)?;
    if key != "arguments" && key != "parameters" {
        return None;
    }
    let arguments = rest.trim_start().strip_prefix(':')?.trim_start();
    begun(text, name, None, arguments)
}

/// A text without escapes, which names have not.
fn text_in_quotes(text: &str) -> Option<(&str, &str)> {
    let (inner, rest) = text.trim_start().strip_prefix('"')?.split_once('"')?;
    (!inner.contains('\\')).then_some((inner, rest))
}

fn split(text: &str, mark: &str) -> Option<Head> {
    let (head, arguments) = text.split_once(mark)?;
    let (name, id) = match head.trim().split_once("[CALL_ID]") {
        Some((name, id)) => (name, Some(id.to_owned())),
        None => (head.trim(), None),
    };
    begun(text, name, id, arguments.trim_start())
}

fn begun(text: &str, name: &str, id: Option<String>, arguments: &str) -> Option<Head> {
    // Something of the object is there: it may still turn out to be no call before that.
    let has_begun = arguments.starts_with('{') && !arguments[1..].trim_start().is_empty();
    has_begun.then(|| Head {
        name: name.to_owned(),
        id,
        arguments: text.len() - arguments.len(),
    })
}

/// How much of an object has been passed on.
#[derive(Clone, Debug)]
pub(super) struct Streamed {
    at: usize,
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    is_whole: bool,
}

impl Streamed {
    pub(super) const fn new(at: usize) -> Self {
        Self {
            at,
            depth: 0,
            in_text: false,
            is_escaped: false,
            is_whole: false,
        }
    }

    /// What has come of the object since the last time.
    pub(super) fn take<'t>(&mut self, text: &'t str) -> &'t str {
        let start = self.at;
        while let Some(byte) = text.as_bytes().get(self.at).filter(|_| !self.is_whole) {
            self.at += 1;
            self.pass(*byte);
        }
        text.get(start..self.at).unwrap_or_default()
    }

    const fn pass(&mut self, byte: u8) {
        match (self.in_text, byte) {
            (true, _) if self.is_escaped => self.is_escaped = false,
            (true, b'\\') => self.is_escaped = true,
            (_, b'"') => self.in_text = !self.in_text,
            (false, b'{' | b'[') => self.depth += 1,
            (false, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                self.is_whole = self.depth == 0;
            }
            (true | false, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_complete_when_its_arguments_have_begun() {
        let text = " {\"name\": \"f\", \"arguments\": {\"a\": 1}}";
        let start = text.rfind("{\"a").unwrap();
        for end in 0..text.len() {
            let found = head(&Body::Json, &text[..end]);
            assert_eq!(found.is_some(), end > start + 1, "{}", &text[..end]);
        }
        assert_eq!(head(&Body::Json, text).unwrap().arguments, start);
        assert_eq!(head(&Body::Json, "f[ARGS]{\"a").unwrap().name, "f");
        assert_eq!(head(&Body::Json, "{\"arguments\": {\"a\": 1}"), None);
    }

    #[test]
    fn an_object_ends_with_its_last_bracket() {
        let text = "{\"a}\": [\"\\\"}é\", {}]}, more";
        let mut streamed = Streamed::new(0);
        let mut passed = String::new();
        for end in (0..=text.len()).filter(|&end| text.is_char_boundary(end)) {
            passed.push_str(streamed.take(&text[..end]));
        }
        assert_eq!(passed, text.strip_suffix(", more").unwrap());
    }
}
