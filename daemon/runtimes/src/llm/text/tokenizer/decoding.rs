//! How the spelling of a token becomes bytes, by the decoder a package names.

use serde_json::Value;

/// What a token contributes to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm::text) struct Piece {
    pub(in crate::llm::text) bytes: Vec<u8>,
    /// The token is a single byte written as `<0x0A>`.
    pub(in crate::llm::text) is_byte: bool,
}

/// The decoders that language models use, by what they do to one token at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::llm::text) enum Decoding {
    /// Each character of a spelling is one byte.
    ByteLevel,
    /// A mark stands for a space, single bytes may be spelled out.
    Marks {
        mark: String,
        bytes: bool,
        /// What the decoder takes from the beginning of a text.
        start: Start,
    },
    /// Spellings joined as they are, each with a space between, or by rules that need the whole
    /// text: decoded by the library.
    Library,
}

/// What is taken from the beginning of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::llm::text) enum Start {
    Nothing,
    /// So many spaces.
    Spaces(usize),
    /// Every mark in the first token.
    MarksOfFirst,
}

impl Decoding {
    /// By the `decoder` of a `tokenizer.json`.
    pub(super) fn of(decoder: &Value) -> Self {
        match kind(decoder) {
            "ByteLevel" => Self::ByteLevel,
            "Metaspace" => Self::metaspace(decoder),
            "Sequence" => {
                let steps = decoder.get("decoders").and_then(Value::as_array);
                steps
                    .and_then(|steps| Self::sequence(steps))
                    .unwrap_or(Self::Library)
            }
            _ => Self::Library,
        }
    }

    fn metaspace(decoder: &Value) -> Self {
        let mark = decoder
            .get("replacement")
            .and_then(Value::as_str)
            .unwrap_or("▁")
            .to_owned();
        let scheme = decoder
            .get("prepend_scheme")
            .and_then(Value::as_str)
            .unwrap_or("always");
        // The older spelling of the same setting.
        let older = decoder.get("add_prefix_space").and_then(Value::as_bool) == Some(false);
        let start = if scheme == "never" || older {
            Start::Nothing
        } else {
            Start::MarksOfFirst
        };
        Self::Marks {
            mark,
            bytes: false,
            start,
        }
    }

    /// The sequences of converted SentencePiece vocabularies.
    fn sequence(steps: &[Value]) -> Option<Self> {
        if let [only] = steps {
            return Some(Self::of(only));
        }
        let mut steps = steps.iter().peekable();
        let mut decoding = match steps.next() {
            Some(step) if kind(step) == "Replace" => {
                let mark = step.get("pattern")?.get("String")?.as_str()?.to_owned();
                let space = step.get("content").and_then(Value::as_str) == Some(" ");
                space.then_some(Self::Marks {
                    mark,
                    bytes: false,
                    start: Start::Nothing,
                })?
            }
            Some(_) | None => return None,
        };
        let Self::Marks { bytes, start, .. } = &mut decoding else {
            return None;
        };
        *bytes = steps.next_if(|step| kind(step) == "ByteFallback").is_some();
        let fused = steps.next_if(|step| kind(step) == "Fuse").is_some();
        match steps.next() {
            None => Some(decoding),
            Some(step) if kind(step) == "Strip" && fused && steps.next().is_none() => {
                let number = |name: &str| step.get(name).and_then(Value::as_u64).unwrap_or(0);
                let spaces = step.get("content").and_then(Value::as_str) == Some(" ") && number("stop") == 0;
                *start = Start::Spaces(usize::try_from(number("start")).ok()?);
                spaces.then_some(decoding)
            }
            Some(_) => None,
        }
    }

    /// What a token with this spelling contributes in the middle of a text.
    pub(super) fn piece(&self, spelling: String) -> Piece {
        match self {
            Self::ByteLevel => Piece {
                bytes: bytes_of(&spelling),
                is_byte: false,
            },
            Self::Marks { bytes: true, .. } if spelled_byte(&spelling).is_some() => Piece {
                bytes: spelled_byte(&spelling).into_iter().collect(),
                is_byte: true,
            },
            Self::Marks { mark, .. } => Piece {
                bytes: spelling.replace(mark.as_str(), " ").into_bytes(),
                is_byte: false,
            },
            Self::Library => Piece {
                bytes: spelling.into_bytes(),
                is_byte: false,
            },
        }
    }
}

fn kind(step: &Value) -> &str {
    step.get("type").and_then(Value::as_str).unwrap_or("")
}

/// `<0x0A>` is the byte 10.
fn spelled_byte(spelling: &str) -> Option<u8> {
    let digits = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

/// Undoes the byte-level alphabet; a spelling with a foreign character stands for itself, as
/// added tokens do.
fn bytes_of(spelling: &str) -> Vec<u8> {
    spelling
        .chars()
        .map(byte_of)
        .collect::<Option<Vec<u8>>>()
        .unwrap_or_else(|| spelling.as_bytes().to_vec())
}

/// GPT-2's alphabet: printable Latin-1 stands for itself, the other 68 bytes are the characters
/// from U+0100 on, in order.
fn byte_of(character: char) -> Option<u8> {
    let code = u32::from(character);
    match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => u8::try_from(code).ok(),
        0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let mut bytes: Vec<u8> = (0..0x200)
            .filter_map(char::from_u32)
            .filter_map(byte_of)
            .collect();
        bytes.sort_unstable();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        assert_eq!(bytes_of("Ġhéllo"), b" h\xe9llo");
        assert_eq!(bytes_of("<a b>"), b"<a b>", "a space is not in the alphabet");
    }

    #[test]
    fn knows_the_decoders_of_language_models() {
        let llama = json!({"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
        let marks = |bytes, start| Decoding::Marks {
            mark: "▁".to_owned(),
            bytes,
            start,
        };
        assert_eq!(Decoding::of(&llama), marks(true, Start::Spaces(1)));
        let metaspace = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"});
        assert_eq!(Decoding::of(&metaspace), marks(false, Start::MarksOfFirst));
        assert_eq!(Decoding::of(&json!({"type": "ByteLevel"})), Decoding::ByteLevel);
        assert_eq!(Decoding::of(&Value::Null), Decoding::Library);
        assert_eq!(
            Decoding::of(&json!({"type": "WordPiece", "prefix": "##"})),
            Decoding::Library
        );
        let pieces = marks(true, Start::Nothing);
        assert_eq!(
            pieces.piece("<0xE2>".to_owned()),
            Piece {
                bytes: vec![0xe2],
                is_byte: true
            }
        );
        assert_eq!(
            pieces.piece("▁a▁".to_owned()),
            Piece {
                bytes: b" a ".to_vec(),
                is_byte: false
            }
        );
    }
}
