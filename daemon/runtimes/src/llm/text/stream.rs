//! Tokens of an answer to text, one at a time and never a part of a character.

use super::tokenizer::{Decoding, Start, Tokenizer};

/// Turns tokens into text as they come, without looking at the earlier ones again.
///
/// The pieces together are what decoding all tokens at once gives. The one difference: bytes that
/// are no UTF-8 become one replacement character per broken sequence, also where a vocabulary
/// spells out single bytes; the library gives up the whole run of such bytes then.
#[derive(Clone, Debug)]
pub struct TextStream {
    /// An incomplete character.
    held: Vec<u8>,
    /// What the decoder still takes from the beginning.
    start: Start,
    /// For decoders that only the library knows.
    window: Window,
    /// No special token is shown unless it is one of these.
    shown: Vec<u32>,
}

/// The last tokens.
#[derive(Clone, Debug, Default)]
struct Window {
    tokens: Vec<u32>,
}

impl TextStream {
    /// For an answer that stands alone: the decoder's rules for the beginning of a text apply.
    #[must_use]
    pub fn alone(tokenizer: &Tokenizer) -> Self {
        let start = match tokenizer.decoding() {
            Decoding::Marks { start, .. } => *start,
            Decoding::ByteLevel | Decoding::Library => Start::Nothing,
        };
        Self {
            start,
            ..Self::continuing()
        }
    }

    /// For an answer that goes on where a text ended: a space at its beginning is kept.
    #[must_use]
    pub fn continuing() -> Self {
        Self {
            held: Vec::new(),
            start: Start::Nothing,
            window: Window::default(),
            shown: Vec::new(),
        }
    }

    /// Special tokens that become text like all others.
    #[must_use]
    pub fn showing(mut self, tokens: Vec<u32>) -> Self {
        self.shown = tokens;
        self
    }

    /// The text that `token` completes, which is often none.
    #[must_use]
    pub fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> String {
        if tokenizer.is_special(token) && !self.shown.contains(&token) {
            return String::new();
        }
        if *tokenizer.decoding() == Decoding::Library {
            return self.window.push(tokenizer, token);
        }
        let Some(piece) = tokenizer.piece(token) else {
            return String::new();
        };
        // A character that is spelled out in bytes cannot go on in an ordinary token.
        let ends_bytes = !piece.is_byte && matches!(tokenizer.decoding(), Decoding::Marks { .. });
        let mut text = if ends_bytes { self.finish() } else { String::new() };
        text.push_str(&self.push_bytes(piece.bytes));
        text
    }

    fn push_bytes(&mut self, bytes: Vec<u8>) -> String {
        let bytes = self.take_start(bytes);
        self.held.extend_from_slice(&bytes);
        complete(&mut self.held)
    }

    /// What the decoder's rules leave of the bytes at the beginning.
    fn take_start(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match self.start {
            Start::Nothing | Start::Spaces(0) => bytes,
            Start::MarksOfFirst => {
                self.start = Start::Nothing;
                bytes.into_iter().filter(|&byte| byte != b' ').collect()
            }
            Start::Spaces(count) => {
                let spaces = bytes.iter().take(count).take_while(|&&byte| byte == b' ').count();
                self.start = if spaces == bytes.len() {
                    Start::Spaces(count - spaces)
                } else {
                    Start::Nothing
                };
                bytes[spaces..].to_vec()
            }
        }
    }

    /// What is held back, at the end of the answer: an incomplete character is replaced.
    #[must_use]
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.held)).into_owned()
    }
}

/// Takes the whole characters from the beginning of `bytes`; broken ones are replaced, one that
/// may still become whole stays.
fn complete(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                rest = &[];
                break;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let Some(length) = error.error_len() else {
                    rest = after;
                    break;
                };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &after[length..];
            }
        }
    }
    *bytes = rest.to_vec();
    text
}

impl Window {
    /// Tokens kept before the new one, so that rules about neighbours see their neighbours.
    const KEEP: usize = 6;

    /// Decodes the last tokens with and without the new one: the difference is its text.
    fn push(&mut self, tokenizer: &Tokenizer, token: u32) -> String {
        if self.tokens.len() > 2 * Self::KEEP {
            self.tokens.drain(..Self::KEEP);
        }
        let decode = |tokens: &[u32]| tokenizer.decode(tokens, false).unwrap_or_default();
        let before = decode(&self.tokens);
        self.tokens.push(token);
        let after = decode(&self.tokens);
        after.strip_prefix(before.as_str()).unwrap_or("").to_owned()
    }
}
