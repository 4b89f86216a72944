//! Keeping what models and packages say from steering a terminal.

use std::borrow::Cow;

/// The text without control characters (C0, DEL and C1), except line feed and tab. What follows
/// an escape character stays as harmless text.
pub(crate) fn strip(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_unwanted) {
        Cow::Owned(
            text.chars()
                .filter(|&character| !is_unwanted(character))
                .collect(),
        )
    } else {
        Cow::Borrowed(text)
    }
}

fn is_unwanted(character: char) -> bool {
    character.is_control() && !matches!(character, '\n' | '\t')
}

/// JSON text in which no raw control character is left. Serializers escape C0 only.
pub(crate) fn escape_json(json: String) -> String {
    let is_raw = |character: char| matches!(character, '\u{7f}'..='\u{9f}');
    if !json.contains(is_raw) {
        return json;
    }
    let escape = |character: char| {
        if is_raw(character) {
            format!("\\u{:04x}", u32::from(character))
        } else {
            character.to_string()
        }
    };
    json.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        for (text, expected) in [
            ("plain\ttext\n", "plain\ttext\n"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred[0m"),
            ("\u{1b}]52;c;aGk=\u{7}", "]52;c;aGk="),
            ("\u{9b}2J", "2J"),
            ("a\rb\u{8}c\u{7f}\u{0}", "abc"),
            ("ä日本語🙂", "ä日本語🙂"),
        ] {
            assert_eq!(strip(text), expected);
        }
        assert!(matches!(strip("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn json_stays_json_and_has_no_raw_control_character() {
        let text = "a\u{9b}2J\u{7f}\u{1b}é";
        let json = escape_json(serde_json::to_string(text).unwrap());
        assert!(!json.chars().any(char::is_control), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
