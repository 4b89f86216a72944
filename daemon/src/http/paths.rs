//! Paths of this machine stay on it: they hold the user's name and tell what else there is.

/// What a path is replaced by, before its last part.
const HIDDEN: &str = "…/";
/// What our own routes begin with.
const ROUTES: [&str; 2] = ["api", "v1"];

/// The text with every absolute path cut down to its last part. Routes of the API stay.
pub(super) fn without(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((start, end)) = next_path(shown.chars().next_back(), rest) {
        let path = &rest[start..end];
        shown.push_str(&rest[..start]);
        let last = path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next();
        shown.push_str(HIDDEN);
        shown.push_str(last.unwrap_or_default());
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// Where the first absolute path of `text` is, which comes after the character `before`.
fn next_path(before: Option<char>, text: &str) -> Option<(usize, usize)> {
    let mut before = before;
    for (at, character) in text.char_indices() {
        let tail = &text[at..];
        if begins(before) && (is_unix(tail) || is_windows(tail)) {
            return Some((at, at + length(tail)));
        }
        before = Some(character);
    }
    None
}

fn begins(before: Option<char>) -> bool {
    before.is_none_or(|character| character.is_whitespace() || "\"'`(=[<".contains(character))
}

/// At least two parts, and none of ours.
fn is_unix(tail: &str) -> bool {
    let path = &tail[..length(tail)];
    path.strip_prefix('/').is_some_and(|inner| {
        let mut parts = inner.split('/').filter(|part| !part.is_empty());
        let first = parts.next().unwrap_or_default();
        !ROUTES.contains(&first) && parts.next().is_some()
    })
}

fn is_windows(tail: &str) -> bool {
    let mut characters = tail.chars();
    characters.next().is_some_and(|letter| letter.is_ascii_alphabetic())
        && characters.next() == Some(':')
        && characters.next().is_some_and(|slash| slash == '\\' || slash == '/')
        // An address begins with more than a letter.
        && !tail[2..].starts_with("//")
}

/// How far a path goes: to the end of the word, without the sentence's own marks.
fn length(tail: &str) -> usize {
    let word = tail
        .find(|character: char| character.is_whitespace() || "\"'`)]>;,".contains(character))
        .unwrap_or(tail.len());
    tail[..word].trim_end_matches([':', '.', '!', '?']).len()
}

#[cfg(test)]
mod tests {
    use super::without;

    #[test]
    fn only_the_last_part_of_a_path_is_told() {
        for (text, told) in [
            (
                "cannot read /home/ada/models/x/config.json: no space",
                "cannot read …/config.json: no space",
            ),
            ("/tmp/a/b", "…/b"),
            ("(\"/root/x/y\") and '/var/lib/z/'.", "(\"…/y\") and '…/z'."),
            (r"C:\Users\Ada\model.onnx is damaged", "…/model.onnx is damaged"),
            ("/a/b /c/d", "…/b …/d"),
        ] {
            assert_eq!(without(text), told);
        }
    }

    #[test]
    fn what_is_no_path_of_this_machine_stays() {
        for text in [
            "there is nothing at this path: /docs lists what there is",
            "ask GET /api/v1/models or /v1/models",
            "onnx-community/Qwen2.5-0.5B-Instruct has no variant q4/q8",
            "use 1/2 or and/or",
            "see https://example.com/a/b",
            "größe / höhe",
            "",
        ] {
            assert_eq!(without(text), text);
        }
    }
}
