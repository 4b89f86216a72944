//! Calls as Python writes them: `[f(a=1, b="x"), g()]`, or one in each line.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use super::calls::{Call, Read};

/// Values nested deeper are no call.
const DEPTH: usize = 64;

/// The list at the beginning of a text.
pub(super) fn read(text: &str) -> Read {
    let mut parser = Parser::new(text);
    match parser.list() {
        Ok(found) => Read::Whole(found, text.len() - parser.rest.len()),
        Err(Stop::End) => Read::Begun,
        Err(Stop::Wrong) => Read::Broken,
    }
}

/// All calls of a text: a list, or calls one after the other.
pub(super) fn calls(text: &str) -> Option<Vec<Call>> {
    let mut parser = Parser::new(text);
    let found = if text.trim_start().starts_with('[') {
        parser.list().ok()?
    } else {
        let mut found = Vec::new();
        while !parser.rest.trim_start().is_empty() {
            found.push(parser.call().ok()?);
        }
        found
    };
    let is_whole = parser.rest.trim().is_empty() && !found.is_empty();
    is_whole.then_some(found)
}

struct Parser<'t> {
    rest: &'t str,
}

/// Why there is no value.
enum Stop {
    /// More may come.
    End,
    Wrong,
}

impl<'t> Parser<'t> {
    const fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// The next letter behind white space.
    fn peek(&mut self) -> Result<char, Stop> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next().ok_or(Stop::End)
    }

    fn take(&mut self, wanted: char) -> Result<(), Stop> {
        if self.peek()? != wanted {
            return Err(Stop::Wrong);
        }
        self.rest = &self.rest[wanted.len_utf8()..];
        Ok(())
    }

    /// Whether another item follows in a list that ends with `end`; takes comma or end.
    fn goes_on(&mut self, end: char) -> Result<bool, Stop> {
        if self.peek()? == end {
            self.take(end)?;
            return Ok(false);
        }
        self.take(',')?;
        if self.peek()? == end {
            self.take(end)?;
            return Ok(false);
        }
        Ok(true)
    }

    fn list(&mut self) -> Result<Vec<Call>, Stop> {
        self.take('[')?;
        let mut found = vec![self.call()?];
        while self.goes_on(']')? {
            found.push(self.call()?);
        }
        Ok(found)
    }

    fn word(&mut self) -> Result<&'t str, Stop> {
        self.peek()?;
        let is_part = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
        let end = self.rest.find(|letter| !is_part(letter)).ok_or(Stop::End)?;
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        if word.is_empty() {
            Err(Stop::Wrong)
        } else {
            Ok(word)
        }
    }

    fn call(&mut self) -> Result<Call, Stop> {
        let name = self.word()?.to_owned();
        self.take('(')?;
        let mut arguments = Map::new();
        if self.peek()? == ')' {
            self.take(')')?;
        } else {
            loop {
                let key = self.word()?.to_owned();
                self.take('=')?;
                arguments.insert(key, self.value(DEPTH)?);
                if !self.goes_on(')')? {
                    break;
                }
            }
        }
        Ok(Call {
            id: None,
            name,
            arguments,
            written: BTreeMap::new(),
        })
    }

    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        let depth = depth.checked_sub(1).ok_or(Stop::Wrong)?;
        match self.peek()? {
            quote @ ('"' | '\'') => self.text(quote).map(Value::from),
            '[' => {
                self.take('[')?;
                self.items(']', depth)
            }
            '(' => {
                self.take('(')?;
                self.items(')', depth)
            }
            '{' => self.object(depth),
            _ => self.atom(),
        }
    }

    fn items(&mut self, end: char, depth: usize) -> Result<Value, Stop> {
        let mut items = Vec::new();
        if self.peek()? == end {
            self.take(end)?;
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if !self.goes_on(end)? {
                return Ok(Value::Array(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Stop> {
        self.take('{')?;
        let mut object = Map::new();
        if self.peek()? == '}' {
            self.take('}')?;
            return Ok(Value::Object(object));
        }
        loop {
            let key = match self.peek()? {
                quote @ ('"' | '\'') => self.text(quote)?,
                _ => return Err(Stop::Wrong),
            };
            self.take(':')?;
            object.insert(key, self.value(depth)?);
            if !self.goes_on('}')? {
                return Ok(Value::Object(object));
            }
        }
    }

    fn atom(&mut self) -> Result<Value, Stop> {
        let end = self.rest.find([',', ')', ']', '}', ' ', '\n']).ok_or(Stop::End)?;
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "True" | "true" => Ok(Value::Bool(true)),
            "False" | "false" => Ok(Value::Bool(false)),
            "None" | "null" => Ok(Value::Null),
            number => serde_json::from_str::<Number>(number)
                .map(Value::Number)
                .map_err(|_| Stop::Wrong),
        }
    }

    /// A text in quotes, with the escapes that Python and JSON share.
    fn text(&mut self, quote: char) -> Result<String, Stop> {
        self.take(quote)?;
        let mut text = String::new();
        let mut letters = self.rest.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '\\' => match letters.next().ok_or(Stop::End)?.1 {
                    'n' => text.push('\n'),
                    't' => text.push('\t'),
                    'r' => text.push('\r'),
                    'u' => {
                        let digits = self.rest.get(at + 2..at + 6).ok_or(Stop::End)?;
                        let code = u32::from_str_radix(digits, 16).map_err(|_| Stop::Wrong)?;
                        text.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                        letters.nth(3);
                    }
                    other => text.push(other),
                },
                _ if letter == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                _ => text.push(letter),
            }
        }
        Err(Stop::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn literals_become_json() {
        let text = r#"[f(a=1, b="x\n'", c='}"]', d=[True, None, -2.5e3], e={'k': (1, 2)}), ns.g()] tail"#;
        let Read::Whole(found, end) = read(text) else {
            panic!("no calls")
        };
        assert_eq!(&text[end..], " tail");
        assert_eq!(
            Value::Object(found[0].arguments.clone()),
            json!({"a": 1, "b": "x\n'", "c": "}\"]", "d": [true, null, -2.5e3], "e": {"k": [1, 2]}})
        );
        assert_eq!((found[1].name.as_str(), found[1].arguments.len()), ("ns.g", 0));
        assert_eq!(calls("f(a=1)\ng(b=2)").unwrap().len(), 2);
    }

    #[test]
    fn beginnings_wait_and_others_are_broken() {
        let text = r#"[f(a="x", b=[1])]"#;
        for end in 0..text.len() {
            assert_eq!(read(&text[..end]), Read::Begun, "{}", &text[..end]);
        }
        for broken in ["[1, 2]", "[f]", "[f(1)]", "[]", "[f(a=b)]", "{}", "[f(a=1) g()]"] {
            assert_eq!(read(broken), Read::Broken, "{broken}");
        }
        let deep = format!("[f(a={}1{})]", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(read(&deep), Read::Broken);
    }
}
