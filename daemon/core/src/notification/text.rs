//! What may stand in a notification. Names of models, of files and words of other programs are
//! hostile: they may not steer a screen, pretend to be something else, or fill it.

use std::borrow::Cow;

/// What stands for what was cut off.
const CUT: char = '…';

/// A text on one line, at most so many characters: white space and control characters become one
/// blank, characters that are not seen or turn the direction of reading are left out.
#[must_use]
pub fn clean(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut count = 0;
    for word in text.split(|character: char| character.is_whitespace() || character.is_control()) {
        let mut word = word.chars().filter(|&character| !is_hidden(character)).peekable();
        if word.peek().is_none() {
            continue;
        }
        let blank = (count > 0).then_some(' ');
        for character in blank.into_iter().chain(word) {
            if count == most {
                shown.pop();
                shown.push(CUT);
                return shown;
            }
            shown.push(character);
            count += 1;
        }
    }
    shown
}

/// The same with its lines kept, empty ones left out; `most` is for all of them together.
pub(super) fn clean_lines(text: &str, most: usize) -> String {
    let mut shown = String::new();
    let mut left = most;
    for line in text.lines() {
        let line = clean(line, left);
        if line.is_empty() || left == 0 {
            continue;
        }
        if !shown.is_empty() {
            shown.push('\n');
        }
        left = left.saturating_sub(line.chars().count() + 1);
        shown += &line;
    }
    shown
}

/// Marks of direction, joiners and others that are not seen.
const fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// For programs that read the body of a notification as markup.
#[must_use]
pub fn escape_markup(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_harmless_line_of_bounded_length() {
        for (text, shown) in [
            ("plain", "plain"),
            ("  two \t\n words ", "two words"),
            ("\u{1b}[31mred\u{7}", "[31mred"),
            ("abc\u{202e}gpj.exe", "abcgpj.exe"),
            ("a\u{200b}b\u{feff}c", "abc"),
            ("\u{200b}", ""),
            ("", ""),
            ("ä日本語🙂", "ä日本語🙂"),
            ("exactly 10", "exactly 10"),
            ("eleven char", "eleven ch…"),
        ] {
            assert_eq!(clean(text, 10), shown, "{text:?}");
        }
        assert_eq!(clean("abc", 0), "…");
    }

    #[test]
    fn lines_are_kept_and_bounded_together() {
        assert_eq!(
            clean_lines("one\n\n two  words \r\nthree", 100),
            "one\ntwo words\nthree"
        );
        assert_eq!(clean_lines("one\ntwo\nthree", 8), "one\ntwo");
        assert_eq!(clean_lines("one\nlonger line", 8), "one\nlon…");
    }

    #[test]
    fn markup_is_text() {
        assert_eq!(
            escape_markup("<b>Tom</b> & \"Ann's\""),
            "&lt;b&gt;Tom&lt;/b&gt; &amp; &quot;Ann&#39;s&quot;"
        );
        assert!(matches!(escape_markup("plain"), Cow::Borrowed(_)));
    }
}
