//! Text from drivers and the system, made fit to be shown.

/// One line without control characters, of at most `length` characters.
pub(crate) fn tidy(text: &str, length: usize) -> String {
    let mut words = text.split(|character: char| character.is_whitespace() || character.is_control());
    let mut tidied = String::new();
    for word in words.by_ref().filter(|word| !word.is_empty()) {
        if !tidied.is_empty() {
            tidied.push(' ');
        }
        tidied.push_str(word);
    }
    match tidied.char_indices().nth(length) {
        Some((end, _)) => tidied[..end].to_owned(),
        None => tidied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_one_short_line() {
        for (text, expected) in [
            ("  NVIDIA  H100\t80GB\n", "NVIDIA H100 80GB"),
            ("a\u{1b}[31mb\0", "a [31mb"),
            ("", ""),
            ("ääääääääääääääääääääää", "ääääääääääääääää"),
        ] {
            assert_eq!(tidy(text, 16), expected, "{text:?}");
        }
    }
}
